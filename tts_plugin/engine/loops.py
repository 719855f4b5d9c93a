"""Hears when speech goes round in circles, as models of speech do when they get stuck.

The movement of the sound (sound.py) over the last 6 s is compared with itself, shifted by 0.17 to 2 s. What repeats
three times or more is like itself there. Text that repeats itself is not judged: "no no no no" is said as written.
Knows no samples, no model and no time.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

WINDOW_FRAMES = 180  # 6 s
SHORTEST_FRAMES, LONGEST_FRAMES = 5, 60  # of what is repeated: 0.17 to 2 s
ALIKE = 0.8  # correlation; ordinary speech stays below 0.6, loops with 2 % of jitter lie above 0.85
EVERY = 45  # latents (6 s) between two looks

_WINDOW_LATENTS = WINDOW_FRAMES // 4
_WORDS = 12  # of the text that are compared
_FEWEST_WORDS = 4
_STEADY = 0.3  # less movement than this is a steady sound, not a rhythm

Motion = NDArray[np.float32]


class LoopEar:
    """`phase` spreads the looks of many over the steps; it must not depend on the company."""

    def __init__(self, phase: int = 0) -> None:
        self._motion: deque[Motion] = deque(maxlen=_WINDOW_LATENTS)
        self._heard = phase % EVERY
        self._words: deque[str] = deque(maxlen=_WORDS)

    def read(self, word: str) -> None:
        """The text goes on with it."""
        self._words.append(word.casefold().strip(".,;:!?"))

    def hears_loop(self, motion: Motion) -> bool:
        """One latent more was made, which moves so."""
        self._motion.append(motion)
        self._heard += 1
        if self._heard % EVERY or len(self._motion) < _WINDOW_LATENTS or self._text_repeats:
            return False
        return likeness(np.concatenate(self._motion)[-WINDOW_FRAMES:]) >= ALIKE

    @property
    def _text_repeats(self) -> bool:
        words = self._words
        return len(words) >= _FEWEST_WORDS and 2 * len(set(words)) <= len(words)


def likeness(motion: Motion) -> float:
    """How like itself it is at the best shift: 1 for what repeats exactly, about 0 for what does not. [frames, 2]."""
    frames = len(motion)
    moved = motion - motion.mean(axis=0)
    moved /= np.maximum(moved.std(axis=0), _STEADY)
    size = 1 << (2 * frames - 1).bit_length()
    spectrum = np.fft.rfft(moved, size, axis=0)
    products = np.fft.irfft((spectrum * spectrum.conj()).real.sum(axis=1), size)
    energy = np.concatenate(([0.0], np.cumsum(np.square(moved).sum(axis=1))))
    shifts = np.arange(SHORTEST_FRAMES, LONGEST_FRAMES + 1)
    both = energy[frames - shifts] * (energy[frames] - energy[shifts])
    return float((products[shifts] / np.sqrt(both + 1e-9)).max())
