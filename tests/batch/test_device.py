"""Which device and number format is taken, and what is said when the wanted one is not there."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

from tts_plugin.engine import device
from tts_plugin.engine.device import NoSuchDevice, Resolved, detect_best_device, is_mps_available, resolve


def having(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(device, "cuda_devices", lambda: cuda)
    monkeypatch.setattr(device, "is_mps_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [
        (2, False, Resolved("cuda:0", "bfloat16")),
        (1, True, Resolved("cuda:0", "bfloat16")),
        (0, True, Resolved("mps", "float32")),
        (0, False, Resolved("cpu", "int8", "onnx")),
    ],
)
def test_auto_takes_cuda_then_mps_then_cpu(monkeypatch, cuda, mps, expected) -> None:
    having(monkeypatch, cuda, mps)
    assert resolve() == expected
    assert detect_best_device() == expected.kind


def test_dtype_overrides(monkeypatch) -> None:
    having(monkeypatch, cuda=1)
    assert resolve("auto", "float32") == Resolved("cuda:0", "float32")
    assert resolve("cpu", "bfloat16") == Resolved("cpu", "bfloat16")


def test_a_card_that_is_not_there_is_refused_with_those_that_are(monkeypatch) -> None:
    having(monkeypatch, cuda=1)
    with pytest.raises(
        NoSuchDevice, match=r"'cuda:7'.*1 CUDA device \(cuda:0\).*set TTS_DEVICE to auto or cuda or cpu"
    ):
        resolve("cuda:7")


def test_cuda_without_a_card_says_so(monkeypatch) -> None:
    having(monkeypatch)
    with pytest.raises(NoSuchDevice, match="'cuda'.*no CUDA device.*set TTS_DEVICE to auto or cpu"):
        resolve("cuda")


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may have it")
def test_mps_on_linux_is_refused() -> None:
    assert not is_mps_available()
    with pytest.raises(NoSuchDevice, match="'mps', which only Macs with Apple silicon have.*cpu"):
        resolve("mps")


@pytest.mark.parametrize("wrong", ["gpu", "cuda:", "cuda:x", "", "cpu:1"])
def test_a_name_that_is_no_device_is_refused(wrong) -> None:
    with pytest.raises(NoSuchDevice, match="allowed: auto, cuda, cuda:N, mps, cpu"):
        resolve(wrong)


def test_a_number_format_that_vibevoice_cannot_use_is_refused(monkeypatch) -> None:
    having(monkeypatch, cuda=1)
    with pytest.raises(NoSuchDevice, match="'int8'.*cuda:0; allowed: auto, float32, bfloat16, float16"):
        resolve("cuda", "int8")
    with pytest.raises(NoSuchDevice, match="'int3'.*cpu; allowed: auto, float32, int8, int4"):
        resolve("cpu", "int3")


def test_weights_of_few_bits_are_onnx_runtimes() -> None:
    assert resolve("cpu", "int8") == Resolved("cpu", "int8", "onnx")
    assert resolve("cpu", "int4") == Resolved("cpu", "int4", "onnx")


def test_without_torch_a_cpu_computes_with_onnx_runtime(monkeypatch) -> None:
    monkeypatch.setattr(device, "has_torch", lambda: False)
    assert resolve() == Resolved("cpu", "int8", "onnx")
    assert resolve("cpu", "float32") == Resolved("cpu", "float32", "onnx")
    with pytest.raises(NoSuchDevice, match="'bfloat16'.*needs torch: make vibevoice"):
        resolve("cpu", "bfloat16")
    with pytest.raises(NoSuchDevice, match="'cuda'.*no torch installed"):
        resolve("cuda")


def test_few_bits_without_onnx_are_refused_with_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(device, "has_onnx", lambda: False)
    assert resolve("cpu") == Resolved("cpu", "float32")
    with pytest.raises(NoSuchDevice, match=r"'int8'.*pip install 'tts-ops\[cpu\]'"):
        resolve("cpu", "int8")


def test_there_is_memory_to_find() -> None:
    assert device.free_bytes(Resolved("cpu", "float32")) > 1 << 20
