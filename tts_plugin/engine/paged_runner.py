"""What every runner over paged caches does whatever computes: voices, promised pages, seats. No tensor library."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from tts_plugin.engine.model.config import SAMPLE_RATE_HZ
from tts_plugin.engine.pages import OutOfPages, PagePool
from tts_plugin.engine.plan import Seat, StoredVoice
from tts_plugin.engine.runner import Opening, Row
from tts_plugin.engine.sizes import Sizes
from tts_plugin.engine.tracks import StoredPrefix, Track


class Pages(Protocol):
    """Keys and values of one language model."""

    pool: PagePool

    def open(self, owner: int, prefix: StoredPrefix) -> Track: ...
    def grow(self, track: Track, positions: int) -> None: ...
    def close(self, track: Track) -> None: ...


Cache = TypeVar("Cache", bound=Pages)


class PagedRunner(Generic[Cache]):
    """A runner derives from this and sets what is declared here; it computes the steps."""

    sample_rate_hz = SAMPLE_RATE_HZ
    sizes: Sizes
    _base: Cache
    _tts: Cache
    _voices: dict[str, StoredVoice]
    _seats: dict[int, Seat]

    @property
    def voices(self) -> tuple[str, ...]:
        return tuple(self._voices)

    @property
    def free_pages(self) -> int:
        return self._tts.pool.unpromised

    @property
    def total_pages(self) -> int:
        return self._tts.pool.count

    def prompt_positions(self, voice: str) -> int:
        return self._voices[voice].tts.positions

    def reserve(self, slot: int) -> None:
        promise = self.sizes.promise
        self._base.pool.promise(slot, promise.base)
        try:
            self._tts.pool.promise(slot, promise.tts)
        except OutOfPages:
            self._base.pool.give_back(slot, [])
            raise

    def open(self, slot: int, opening: Opening) -> None:
        voice = self._voices[opening.voice]
        base, tts = self._base.open(slot, voice.base), self._tts.open(slot, voice.tts)
        negative = self._tts.open(slot, voice.negative)
        self._seats[slot] = Seat(opening, voice, base, tts, negative, voice.base.positions, voice.tts.positions)

    def close(self, slot: int) -> None:
        self._base.pool.give_back(slot, [])
        self._tts.pool.give_back(slot, [])
        if seat := self._seats.pop(slot, None):
            self._base.close(seat.base)
            self._tts.close(seat.tts)
            self._tts.close(seat.negative)

    def prepare(self, row: Row) -> None:
        seat, work = self._seats[row.slot], row.work
        self._base.grow(seat.base, seat.base_length + len(work.text))
        self._tts.grow(seat.tts, seat.length + work.feed_back + len(work.text))
        self._tts.grow(seat.negative, seat.voice.negative.positions + work.latent)
