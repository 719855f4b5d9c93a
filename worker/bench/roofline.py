"""How fast a step could be: its bytes and arithmetic, from the model's configuration, against what the device does.

The two ceilings are measured on the device itself: copying a large buffer, multiplying large matrices. Attention reads
the keys and values of its context; activations of the acoustic decoder go through memory once per layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tts_plugin.engine.model.config import ModelConfig

CONTEXT = 450  # positions of an utterance in the middle of its speech: voice 251, text and latents 200
_TEXT_SHARE = 5 / 6  # text ids per latent
_COPY_BYTES = 256 << 20
_MATRIX = 2048
_REPEATS = 5
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Work:
    """Of one step that makes one latent for each of `batch` utterances."""

    bytes: float
    flops: float


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the device does: bytes read and written a second, and operations a second."""

    bytes_per_s: float
    flops_per_s: float

    def seconds(self, work: Work) -> float:
        """The shortest time for this work."""
        return max(work.bytes / self.bytes_per_s, work.flops / self.flops_per_s)


def work(config: ModelConfig, batch: int, *, solver_steps: int, weight_bytes: float, state_bytes: float = 4) -> Work:
    """`weight_bytes` per weight (0.5 for int4), `state_bytes` per number of keys, values and activations."""
    language, diffusion = config.language, config.diffusion
    q, kv = language.heads * language.head_dim, language.kv_heads * language.head_dim
    layer = language.hidden * (2 * q + 2 * kv + 3 * language.intermediate)
    head = diffusion.layers * (3 * language.hidden**2 + 3 * language.hidden * diffusion.ffn) + 2 * language.hidden**2
    decoder_weights, decoder_flops, decoder_numbers = _decoder(config)
    weights = layer * config.language.layers + solver_steps * head + decoder_weights
    kv_numbers = 2 * kv * (config.tts_layers * (CONTEXT + CONTEXT // 2) + config.base_layers * CONTEXT // 6)
    numbers = batch * (kv_numbers + 2 * decoder_numbers)
    per_utterance = 2 * layer * (config.tts_layers * (2 + _TEXT_SHARE) + config.base_layers * _TEXT_SHARE)
    per_utterance += 2 * 2 * solver_steps * head + decoder_flops + 2 * kv_numbers * language.heads // language.kv_heads
    return Work(weights * weight_bytes + numbers * state_bytes, float(batch * per_utterance))


def _decoder(config: ModelConfig) -> tuple[int, float, int]:
    """Weights, operations per latent, and numbers that go from layer to layer per latent."""
    shape = config.decoder
    channels, weights, flops, numbers = shape.channels, 7 * config.latent * shape.channels[0], 0.0, 0
    flops += 2 * weights
    for stage, depth in enumerate(shape.depths):
        rows, width = prod(shape.strides[:stage]), channels[stage]
        if stage:
            step = channels[stage - 1] * width * 2 * shape.strides[stage - 1]
            weights += step
            flops += 2 * step * rows / shape.strides[stage - 1]
        block = 8 * width**2 + 7 * width
        weights += depth * block
        flops += 2.0 * depth * block * rows
        numbers += depth * rows * width * 12
    return weights, flops, numbers


def measure_cpu(clock: Clock = time.perf_counter) -> Ceiling:
    """With numpy, on all cores that its matrix product takes."""
    source = np.ones(_COPY_BYTES // 4, np.float32)
    target = np.empty_like(source)
    matrix = np.ones((_MATRIX, _MATRIX), np.float32)
    copied = _best(lambda: np.copyto(target, source), clock)
    multiplied = _best(lambda: matrix @ matrix, clock)
    return Ceiling(2 * _COPY_BYTES / copied, 2 * _MATRIX**3 / multiplied)


def measure_torch(device: str, dtype: str, clock: Clock = time.perf_counter) -> Ceiling:
    """With torch, in the number format of the weights."""
    import torch

    kind = getattr(torch, dtype)
    size = 4 * _MATRIX if device.startswith("cuda") else _MATRIX
    source = torch.ones(_COPY_BYTES // 2, dtype=torch.float16, device=device)
    target, matrix = torch.empty_like(source), torch.ones((size, size), dtype=kind, device=device)

    def waited(do: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            do()
            if device.startswith("cuda"):
                torch.cuda.synchronize()

        return run

    copied = _best(waited(lambda: target.copy_(source)), clock)
    multiplied = _best(waited(lambda: matrix @ matrix), clock)
    return Ceiling(2 * _COPY_BYTES / copied, 2 * size**3 / multiplied)


def _best(do: Callable[[], Any], clock: Clock) -> float:
    do()
    times = []
    for _ in range(_REPEATS):
        started = clock()
        do()
        times.append(clock() - started)
    return max(1e-9, min(times))
