"""Which pages a branch of an utterance has, and which a voice is in. Counts only: knows no tensor and no device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tts_plugin.engine.pages import PAGE, PagePool, pages_for

VOICES = -1  # owner of the pages that voices are in


@dataclass(frozen=True, slots=True)
class StoredPrefix:
    """A voice's pages: all but the last are full and shared, the last is a model to copy when it is partial."""

    pages: tuple[int, ...]
    positions: int

    @property
    def shared(self) -> tuple[int, ...]:
        return self.pages[: self.positions // PAGE]

    @property
    def partial(self) -> int | None:
        return self.pages[-1] if self.positions % PAGE else None


@dataclass(slots=True)
class Track:
    """The pages of one branch of one utterance, in the order of its positions."""

    owner: int
    pages: list[int]
    shared: int  # the first so many belong to the voice
    own: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Span:
    """Positions [start, start + count) of a track, that a pass computes."""

    track: Track
    start: int
    count: int

    @property
    def depth(self) -> int:
        """Pages that its last position can see."""
        return pages_for(self.start + self.count)


def stored(pool: PagePool, positions: int) -> StoredPrefix:
    """Takes the pages of a voice, for ever. Raises OutOfPages."""
    return StoredPrefix(tuple(pool.take(VOICES) for _ in range(pages_for(positions))), positions)


def opened(pool: PagePool, owner: int, prefix: StoredPrefix, copy: Callable[[int, int], None]) -> Track:
    """A new track that begins with a voice; copy(source, target) copies its partial page. Raises OutOfPages."""
    track = Track(owner, list(prefix.shared), len(prefix.shared))
    if prefix.partial is not None:
        copy(prefix.partial, _extend(pool, track))
    return track


def grow(pool: PagePool, track: Track, positions: int) -> None:
    """Takes the pages for so many positions. Raises OutOfPages; what was taken until then stays the track's."""
    while len(track.pages) * PAGE < positions:
        _extend(pool, track)


def close(pool: PagePool, track: Track) -> None:
    pool.give_back(track.owner, track.own)
    track.own, track.pages = [], []


def _extend(pool: PagePool, track: Track) -> int:
    page = pool.take(track.owner)
    track.pages.append(page)
    track.own.append(page)
    return page
