"""What relay.py decides: a page of messages to whoever holds the sockets and the listener's ear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tts_plugin.transcript import Piece

SwapReason = Literal["unreachable", "stalled", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Open:
    """Say `source[start:]` on this engine, and what is written from now on. Whoever spoke before is cancelled.

    `plain`: with the stand-in of the voice and without a language, because the engine did not know one of them.
    """

    attempt: int
    engine: int
    start: int
    plain: bool


@dataclass(frozen=True, slots=True)
class Feed:
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """No more text will come."""


@dataclass(frozen=True, slots=True)
class Push:
    """So many samples, the oldest of those kept, go to the listener; before them, the words that sound in them."""

    samples: int
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget the audio that is kept, and whoever made it."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Another engine takes over from `engine`."""

    engine: int
    reason: SwapReason


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything was said."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No engine is left."""

    reason: SwapReason


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the engine whether it is there; tell its answer to `Relay.answered`."""


Decision = Ask | Open | Feed | End | Push | Drop | Swap | Finish | GiveUp
