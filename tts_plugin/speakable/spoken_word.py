"""What comes out of the normaliser: one word to say, and its place in the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pause = Literal["none", "clause", "line"]

MAX_WORD_LETTERS = 32


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """`text` has no white space. [start, end) are characters of the source; each word's span begins where the last
    one's ended, so that together they cover everything up to `end`. `pause` is what lies before the word."""

    text: str
    start: int
    end: int
    pause: Pause = "none"
