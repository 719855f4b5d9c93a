"""Where the model runs: finds the best device and number format, or says what is there and how to go on.

torch is imported when asked, not before: programs that only want to look need not pay for it at their start.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Kind = Literal["cuda", "mps", "cpu"]
DTYPES = ("float32", "bfloat16", "float16")
_DEVICE = re.compile(r"cuda(:\d+)?|mps|cpu")
_CPU_SHARE = 0.25  # of the machine's free memory: others live there too
_DEVICE_SHARE = 0.6  # of a graphics card's, after the weights: the rest is for computing


class NoSuchDevice(RuntimeError):
    """The configured device or number format cannot be used: what was asked for, what there is, how to go on."""


@dataclass(frozen=True, slots=True)
class Resolved:
    device: str  # cuda:N, mps or cpu
    dtype: str

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


def detect_best_device() -> Kind:
    """cuda when there is an NVIDIA or AMD card that torch can use, else mps on a Mac with Apple silicon, else cpu."""
    if cuda_devices():
        return "cuda"
    return "mps" if is_mps_available() else "cpu"


def is_mps_available() -> bool:
    import torch

    return bool(torch.backends.mps.is_available())


def cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def resolve(device: str = "auto", dtype: str = "auto") -> Resolved:
    """auto → the best there is; bfloat16 on CUDA, float32 elsewhere. Raises NoSuchDevice."""
    chosen = detect_best_device() if device == "auto" else device
    if not _DEVICE.fullmatch(chosen):
        raise NoSuchDevice(f"TTS_DEVICE is {device!r:.40}; allowed: auto, cuda, cuda:N, mps, cpu")
    if chosen.startswith("cuda"):
        chosen = _cuda(chosen)
    if chosen == "mps" and not is_mps_available():
        raise NoSuchDevice(f"TTS_DEVICE is 'mps', which only Macs with Apple silicon have; {_there_is()}")
    return Resolved(chosen, _dtype(dtype, chosen))


def free_bytes(resolved: Resolved) -> int:
    """Memory for what utterances need to remember, beside the weights that are loaded already."""
    import torch

    if resolved.kind == "cuda":
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


def _dtype(dtype: str, device: str) -> str:
    if dtype == "auto":
        return "bfloat16" if device.startswith("cuda") else "float32"
    if dtype not in DTYPES:
        raise NoSuchDevice(
            f"TTS_DTYPE is {dtype!r}, which VibeVoice cannot use on {device}; allowed: auto, {', '.join(DTYPES)}"
        )
    return dtype


def _there_is() -> str:
    """What this machine has, and what to set."""
    count = cuda_devices()
    cards = ", ".join(f"cuda:{n}" for n in range(count))
    if not count:
        found = "no CUDA device that torch can see (nvidia-smi tells whether the driver does)"
    else:
        found = f"{count} CUDA device{'s' if count > 1 else ''} ({cards})"
    usable = [*(["cuda"] if count else []), *(["mps"] if is_mps_available() else []), "cpu"]
    return f"this machine has {found}; set TTS_DEVICE to auto or {' or '.join(usable)}"
