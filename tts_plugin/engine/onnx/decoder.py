"""The acoustic decoder on ONNX Runtime: latents of several utterances in, their samples out. Keeps their state.

An utterance's state is a few columns of the past of every convolution (0.6 MB for the published model), in arrays
that are made once, for a number of slots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tts_plugin.engine.model.config import ModelConfig

Array = NDArray[np.float32]
PAST = 6  # columns that a convolution of kernel 7 looks back


class Decoder:
    """`session` of a graph by build_decoder."""

    def __init__(self, session: onnxruntime.InferenceSession, config: ModelConfig, slots: int) -> None:
        self._session = session
        self._state = [np.zeros((slots, *shape), np.float32) for shape in state_shapes(config)]
        self._outputs = ["samples", *(f"after_{number}" for number in range(len(self._state)))]

    @property
    def state_bytes(self) -> int:
        return sum(part.nbytes for part in self._state)

    def open(self, slot: int) -> None:
        """A new utterance takes a slot: it has no past."""
        for part in self._state:
            part[slot] = 0

    def decode(self, latents: Array, slots: Sequence[int]) -> Array:
        """One latent of each utterance: latents [n, latent], unscaled; slots differ → samples [n, samples]."""
        at = list(slots)
        feeds = {f"past_{number}": part[at] for number, part in enumerate(self._state)}
        samples, *after = self._session.run(self._outputs, {"latents": latents, **feeds})
        for part, new in zip(self._state, after, strict=True):
            part[at] = new
        return np.asarray(samples)


def state_shapes(config: ModelConfig) -> tuple[tuple[int, int], ...]:
    """Per convolution, in the order of the graph: columns of the past, channels."""
    shapes, channels = [(PAST, config.latent)], config.decoder.channels
    for stage, depth in enumerate(config.decoder.depths):
        if stage:
            shapes.append((1, channels[stage - 1]))
        shapes += [(PAST, channels[stage])] * depth
    return (*shapes, (PAST, channels[-1]))
