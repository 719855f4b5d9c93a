"""A checkpoint of random numbers, drawn when asked for: the arithmetic and memory of a real one, without a download.

Every tensor has a generator of its own, seeded by its name. It speaks noise: nothing about quality can be learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.onnx.checkpoint import Checkpoint
from tts_plugin.engine.onnx.page_store import Prefix
from tts_plugin.engine.onnx.voice import Voice
from tts_plugin.weights import expected_tensors

NEVER_ENDS = -30.0  # an EOS bias that no hidden state overcomes
_FACTORS = {"model.speech_scaling_factor": 0.2333984375, "model.speech_bias_factor": -0.0703125}
_EOS_BIAS, _LAST = "tts_eos_classifier.fc2.bias", "model.acoustic_tokenizer.decoder.head.conv.conv.weight"

Floats = NDArray[np.float32]


class RandomTensors(Checkpoint):
    """Scaled so that no activation grows or dies with depth; `loudness` scales the samples."""

    def __init__(self, config: ModelConfig, seed: int = 0, *, loudness: float = 1.0) -> None:
        self._shapes, self._seed, self._loudness = expected_tensors(config), seed, loudness

    def __getitem__(self, name: str) -> Floats:
        shape = self._shapes[name]
        if name in _FACTORS:
            return np.array(_FACTORS[name], np.float32)
        if name == _EOS_BIAS:
            return np.full(shape, NEVER_ENDS, np.float32)
        noise = self._draw(name, shape)
        if name.endswith("gamma"):
            return noise * np.float32(0.05) + np.float32(0.2)
        if len(shape) == 1:
            return noise * np.float32(0.05) + np.float32("norm" in name)
        if "embed_tokens" in name or "input_types" in name:
            return noise
        inputs = 2 * shape[0] if "convtr" in name else noise[0].size
        return noise * np.float32(inputs**-0.5 * (self._loudness if name == _LAST else 1.0))

    def rows(self, name: str, numbers: Sequence[int]) -> Floats:
        """Some rows of a matrix, each drawn alone; they are not those of the whole."""
        width = self._shapes[name][1:]
        drawn = [self._draw(f"{name} {number}", width) for number in numbers]
        return np.stack(drawn) if drawn else np.zeros((0, *width), np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def _draw(self, name: str, shape: tuple[int, ...]) -> Floats:
        seed = crc32(f"{self._seed} {name}".encode())
        return np.random.default_rng(seed).standard_normal(shape, np.float32)


def random_voice(config: ModelConfig, base_positions: int, tts_positions: int, seed: int = 0) -> Voice:
    """A voice preset of the given lengths; en-Emma's are 74 and 251."""
    dice, language = np.random.default_rng(seed), config.language

    def prefix(layers: int, positions: int) -> Prefix:
        shape = (layers, language.kv_heads, positions, language.head_dim)
        return Prefix(dice.standard_normal(shape, np.float32), dice.standard_normal(shape, np.float32))

    return Voice(
        base=prefix(config.base_layers, base_positions),
        tts=prefix(config.tts_layers, tts_positions),
        negative=prefix(config.tts_layers, 1),
        negative_hidden=dice.standard_normal(language.hidden, np.float32),
    )
