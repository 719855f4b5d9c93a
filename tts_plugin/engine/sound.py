"""What the samples of a step sound like, all rows at once: PCM, loudness, how the sound moves. Knows no voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FRAME_SAMPLES = 800  # 33 ms at 24 kHz: about as long as a phone is steady

_TAKEN = 4  # one sample of so many is enough to tell power and brightness by
_FULL_SCALE = 32_767
_FLOOR = 1e-6  # of power: below it all is silence


class Sound(NamedTuple):
    pcm: NDArray[np.int16]  # [samples]
    peak: float  # of full scale
    motion: NDArray[np.float32]  # [frames, 2]: log power, and how bright it is


def hear(rows: Sequence[NDArray[np.float32]]) -> list[Sound]:
    """Of rows of one length, whole frames. In one go, because a call for each would take longer than its samples."""
    if not rows:
        return []
    samples = np.stack(rows)  # [rows, samples]
    peaks = np.maximum(samples.max(axis=1), -samples.min(axis=1)).tolist()
    motion = _motion(samples)
    np.clip(samples, -1.0, 1.0, out=samples)
    samples *= _FULL_SCALE
    return [Sound(*one) for one in zip(samples.astype(np.int16), peaks, motion, strict=True)]


def _motion(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """[rows, frames, 2]. What is bright changes much from one sample to the next."""
    frames = samples.reshape(len(samples), -1, FRAME_SAMPLES // _TAKEN, _TAKEN)
    taken = frames[..., 0]
    steps = frames[..., 1] - taken
    power = np.log(np.einsum("rfs,rfs->rf", taken, taken) * (_TAKEN / FRAME_SAMPLES) + _FLOOR)
    bright = np.log(np.einsum("rfs,rfs->rf", steps, steps) * (_TAKEN / FRAME_SAMPLES) + _FLOOR)
    return np.stack((power, bright - power), axis=-1)
