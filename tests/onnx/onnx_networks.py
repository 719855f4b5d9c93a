"""Networks for ONNX Runtime from golden cases and from random weights, built in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import read_config
from tts_plugin.engine.model.schedule import Schedule
from tts_plugin.engine.onnx.builder import Precision
from tts_plugin.engine.onnx.checkpoint import Checkpoint, Tensors
from tts_plugin.engine.onnx.network import OnnxNetwork, build_network
from tts_plugin.engine.onnx.voice import Voice
from tts_plugin.engine.onnx_runner import OnnxRunner
from tts_plugin.engine.sizes import VoiceLengths, fit
from tts_plugin.weights import read_header

Floats = NDArray[np.float32]
EOS_BIAS = "tts_eos_classifier.fc2.bias"


class Table(Checkpoint):
    """Tensors in memory, or of a file with another EOS bias."""

    def __init__(self, tensors: Mapping[str, Floats], eos_bias: float | None = None) -> None:
        self._tensors, self._eos_bias = tensors, eos_bias

    def __getitem__(self, name: str) -> Floats:
        if name == EOS_BIAS and self._eos_bias is not None:
            return np.array([self._eos_bias], np.float32)
        return self._tensors[name]

    def rows(self, name: str, numbers: Sequence[int]) -> Floats:
        return np.asarray(self._tensors[name][list(numbers)])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


@cache
def case_network(config: Path, weights: Path, eos_bias: float, schedule: Schedule, precision: Precision) -> OnnxNetwork:
    tensors = Tensors(weights, read_header(weights))
    return build_network(Table(tensors, eos_bias), read_config(config), schedule, precision, threads=1)


def onnx_runner(network: OnnxNetwork, voices: Mapping[str, Voice], slots: int) -> OnnxRunner:
    lengths = [VoiceLengths(v.base.positions, v.tts.positions, v.negative.positions) for v in voices.values()]
    return OnnxRunner(network, voices, fit(network.config, lengths, slots, 4, 1 << 30))
