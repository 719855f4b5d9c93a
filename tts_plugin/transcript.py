"""The text of one utterance, cut where its words sound: every character of what was fed comes out once, in order.

Pure: takes the engine's word timings, knows neither sockets nor LiveKit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tts_plugin.protocol import Word


class Piece(NamedTuple):
    """A stretch of the fed text and when it sounds, in seconds from the first sample."""

    text: str
    start_s: float
    end_s: float


class Transcript:
    """`"".join(piece.text)` over every `cut` and the `rest` is exactly the text that was fed.

    The engine's spans name what is spoken; the characters between two words (spaces, marks, what cannot be said) go
    with the word that follows. Spans that go backwards, overlap (one "$5", two words) or reach past the text are cut
    to fit, and times never run backwards.
    """

    def __init__(self) -> None:
        self._source = ""
        self._taken = 0
        self._time_s = 0.0

    @property
    def source(self) -> str:
        return self._source

    @property
    def unspoken_chars(self) -> int:
        return len(self._source.rstrip()) - self._taken

    @property
    def unspoken(self) -> str:
        return self._source[self._taken :]

    def feed(self, delta: str) -> None:
        self._source += delta

    def cut(self, words: Iterable[Word]) -> list[Piece]:
        """The stretches of text up to the end of each word; a word that adds no character adds no piece."""
        pieces = (self._up_to(word.source_end, word.start_s, word.end_s) for word in words)
        return [piece for piece in pieces if piece is not None]

    def rest(self, end_s: float) -> Piece | None:
        """What follows the last word, once the utterance is over at `end_s`; None when nothing is left."""
        return self._up_to(len(self._source), self._time_s, end_s)

    def _up_to(self, source_end: int, start_s: float, end_s: float) -> Piece | None:
        text = self._source[self._taken : max(source_end, self._taken)]
        if not text:
            return None
        self._taken += len(text)
        start_s = max(self._time_s, start_s)
        self._time_s = max(start_s, end_s)
        return Piece(text, start_s, self._time_s)
