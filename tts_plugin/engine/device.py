"""Where the model runs: finds the best device and number format, or says what is there and how to go on.

On a CPU, ONNX Runtime computes with weights of 8 or 4 bits, and with float32 where torch is not installed; all else is
torch's. It is imported when asked, not before: programs that only want to look need not pay for it at their start.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tts_plugin.engine.mps import allow_fallback

if TYPE_CHECKING:
    import torch

allow_fallback()  # here, because nobody imports torch before asking where to compute

Kind = Literal["cuda", "mps", "cpu"]
Runtime = Literal["torch", "onnx"]
TORCH_DTYPES = ("float32", "bfloat16", "float16")
ONNX_DTYPES = ("float32", "int8", "int4")  # on a CPU
_DEVICE = re.compile(r"cuda(:\d+)?|mps|cpu")
_CPU_SHARE = 0.25  # of the machine's free memory: others live there too
_DEVICE_SHARE = 0.6  # of a graphics card's, after the weights: the rest is for computing


class NoSuchDevice(RuntimeError):
    """The configured device or number format cannot be used: what was asked for, what there is, how to go on."""


@dataclass(frozen=True, slots=True)
class Resolved:
    device: str  # cuda:N, mps or cpu
    dtype: str
    runtime: Runtime = "torch"

    @property
    def kind(self) -> Kind:
        name = self.device.split(":")[0]
        assert name in ("cuda", "mps", "cpu")
        return name  # type: ignore[return-value]  # mypy does not narrow by `in`

    @property
    def torch_device(self) -> torch.device:
        import torch

        return torch.device(self.device)

    @property
    def torch_dtype(self) -> torch.dtype:
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def number_bytes(self) -> int:
        """Of what the models remember of an utterance."""
        return 2 if self.dtype in ("bfloat16", "float16") else 4


def detect_best_device() -> Kind:
    """cuda when there is an NVIDIA or AMD card that torch can use, else mps on a Mac with Apple silicon, else cpu."""
    if cuda_devices():
        return "cuda"
    return "mps" if is_mps_available() else "cpu"


def is_mps_available() -> bool:
    if not has_torch():
        return False
    import torch

    return bool(torch.backends.mps.is_available())


def cuda_devices() -> int:
    if not has_torch():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def has_torch() -> bool:
    return find_spec("torch") is not None


def has_onnx() -> bool:
    """Whether a network can be converted and run without torch."""
    return find_spec("onnx") is not None and find_spec("onnxruntime") is not None


def resolve(device: str = "auto", dtype: str = "auto") -> Resolved:
    """auto → the best there is; bfloat16 on CUDA, float32 on MPS, int8 on a CPU. Raises NoSuchDevice."""
    chosen = detect_best_device() if device == "auto" else device
    if not _DEVICE.fullmatch(chosen):
        raise NoSuchDevice(f"TTS_DEVICE is {device!r:.40}; allowed: auto, cuda, cuda:N, mps, cpu")
    if chosen.startswith("cuda"):
        chosen = _cuda(chosen)
    if chosen == "mps" and not is_mps_available():
        raise NoSuchDevice(f"TTS_DEVICE is 'mps', which only Macs with Apple silicon have; {_there_is()}")
    if chosen == "cpu":
        return _on_cpu(dtype)
    if dtype == "auto":
        return Resolved(chosen, "bfloat16" if chosen.startswith("cuda") else "float32")
    if dtype not in TORCH_DTYPES:
        raise _wrong_dtype(dtype, chosen, TORCH_DTYPES)
    return Resolved(chosen, dtype)


def free_bytes(resolved: Resolved) -> int:
    """Memory for what utterances need to remember, beside the weights that are loaded already."""
    if resolved.kind == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(resolved.torch_device)
        return int(free * _DEVICE_SHARE)
    return int(_free_main_memory() * _CPU_SHARE)


def _free_main_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        return kibibytes << 10
    except (OSError, StopIteration):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _cuda(device: str) -> str:
    count, index = cuda_devices(), int(device.partition(":")[2] or 0)
    if index < count:
        return f"cuda:{index}"
    raise NoSuchDevice(f"TTS_DEVICE is {device!r}; {_there_is()}")


def _on_cpu(dtype: str) -> Resolved:
    """float32 is torch's where it is installed: it needs no second copy of the weights on disk."""
    if dtype == "auto":
        dtype = "int8" if has_onnx() else "float32"
    if dtype not in {*ONNX_DTYPES, *TORCH_DTYPES}:
        raise _wrong_dtype(dtype, "cpu", ("float32", "int8", "int4", "bfloat16", "float16"))
    if has_torch() and dtype in TORCH_DTYPES:
        return Resolved("cpu", dtype, "torch")
    if has_onnx() and dtype in ONNX_DTYPES:
        return Resolved("cpu", dtype, "onnx")
    wanted = "onnx and onnxruntime: pip install 'tts-ops[cpu]'" if dtype in ONNX_DTYPES else "torch: make vibevoice"
    raise NoSuchDevice(f"TTS_DTYPE is {dtype!r}, which on a CPU needs {wanted}")


def _wrong_dtype(dtype: str, device: str, allowed: tuple[str, ...]) -> NoSuchDevice:
    return NoSuchDevice(
        f"TTS_DTYPE is {dtype!r}, which VibeVoice cannot use on {device}; allowed: auto, {', '.join(allowed)}"
    )


def _there_is() -> str:
    """What this machine has, and what to set."""
    count = cuda_devices()
    cards = ", ".join(f"cuda:{n}" for n in range(count))
    if not count:
        found = "no CUDA device that torch can see (nvidia-smi tells whether the driver does)"
        found = found if has_torch() else "no torch installed, which CUDA and MPS need (make vibevoice)"
    else:
        found = f"{count} CUDA device{'s' if count > 1 else ''} ({cards})"
    usable = [*(["cuda"] if count else []), *(["mps"] if is_mps_available() else []), "cpu"]
    return f"this machine has {found}; set TTS_DEVICE to auto or {' or '.join(usable)}"
