"""Guards a text of three words or fewer, of which the model's authors say that it is unstable. Pure: counts latents.

What is made is held back until it is half as long as the words need and there is sound in it; when it ends before that,
or stays silent, it is made once more with other noise. What is three times as long as the words need is cut.
"""

from __future__ import annotations

import math
from typing import Literal

FEW_WORDS = 3
LETTERS_PER_S = 15.0
LEAST, MOST = 0.5, 3.0  # of what the words need
_WORD_S = 0.25  # the shortest word
_AROUND_S = 1.0  # of silence before and after
_SILENT_S = 0.5  # that may pass before there is sound, beyond LEAST
_OTHER_NOISE = 0x9E3779B97F4A7C15

Verdict = Literal["hold", "speak", "again"]


class ShortText:
    def __init__(self, words: int, letters: int, latent_s: float) -> None:
        needs_s = max(letters / LETTERS_PER_S, words * _WORD_S)
        self.least = math.ceil(LEAST * needs_s / latent_s)
        self.most = math.ceil((MOST * needs_s + _AROUND_S) / latent_s)
        self._silent = self.least + math.ceil(_SILENT_S / latent_s)
        self._again = False

    def judge(self, latents: int, *, loud: bool, over: bool) -> Verdict:
        """Of so many latents held back: `loud`, whether there is sound in them; `over`, whether no more come."""
        if latents >= self.least and loud:
            return "speak"
        if not over and latents < self._silent:
            return "hold"
        if self._again:
            return "speak"
        self._again = True
        return "again"


def other_seed(seed: int) -> int:
    """A request with a seed repeats, second attempts too."""
    return seed ^ _OTHER_NOISE
