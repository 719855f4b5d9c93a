"""What one step computes: which token of the pass through the TTS model is whose. Knows no tensor library.

Order of the tokens: latents that are heard alone, the negative branch, text windows (each after its row's last latent).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts_plugin.engine.runner import Opening, Row
from tts_plugin.engine.tracks import Span, StoredPrefix, Track


@dataclass(frozen=True, slots=True)
class StoredVoice:
    """The prefixes of a voice, in the pages of the caches."""

    base: StoredPrefix
    tts: StoredPrefix
    negative: StoredPrefix


@dataclass(slots=True)
class Seat:
    """One utterance's state that is not a row of a tensor."""

    opening: Opening
    voice: StoredVoice
    base: Track
    tts: Track
    negative: Track
    base_length: int
    length: int  # TTS positions: voice, text, latents

    def advance(self, row: Row) -> None:
        """The row's step was computed."""
        self.base_length += len(row.work.text)
        self.length += row.work.feed_back + len(row.work.text)


class Plan:
    """`groups`: spans that are attended together, in the order of the tokens; rows are meant by their number."""

    def __init__(self, rows: Sequence[Row], seats: Sequence[Seat]) -> None:
        self.rows, self.seats = rows, seats
        self.backs = [n for n, row in enumerate(rows) if row.work.feed_back]
        self.reads = [n for n, row in enumerate(rows) if row.work.text]
        self.alone = [n for n in self.backs if not rows[n].work.text]
        self.groups = (
            [self._positive(n) for n in self.alone],
            [self._negative(n) for n in self.backs],
            [self._positive(n) for n in self.reads],
        )
        self.base_spans = [self.base_span(n) for n in self.reads]
        self.last: dict[int, int] = {}  # row → its last token
        self.heard: dict[int, int] = {}  # row → the token of its latent
        first = 0
        for n, span in zip((*self.alone, *self.reads), (*self.groups[0], *self.groups[2]), strict=True):
            if self.reads and n == self.reads[0]:
                first += len(self.backs)
            if rows[n].work.feed_back:
                self.heard[n] = first
            first += span.count
            self.last[n] = first - 1
        self.negative = {n: len(self.alone) + place for place, n in enumerate(self.backs)}

    def base_span(self, n: int) -> Span:
        return Span(self.seats[n].base, self.seats[n].base_length, len(self.rows[n].work.text))

    def _positive(self, n: int) -> Span:
        work = self.rows[n].work
        return Span(self.seats[n].tts, self.seats[n].length, work.feed_back + len(work.text))

    def _negative(self, n: int) -> Span:
        seat = self.seats[n]
        return Span(seat.negative, seat.voice.negative.positions + self.rows[n].work.latent - 1, 1)
