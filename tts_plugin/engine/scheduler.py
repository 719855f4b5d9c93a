"""Who runs in the next step, and who may come in. Pure: takes values and the time, gives names.

Calls go before interactive requests, those before files. Within a class the earliest deadline goes first: when the
listener runs dry, or for a first sound the moment from which it is awaited, which is always earlier than anybody's
spare audio. Waiting is bounded: who waited too long is due now, whatever its class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tts_plugin.protocol import UtteranceClass

RANK: dict[UtteranceClass, int] = {"call": 0, "interactive": 1, "file": 2}
PATIENCE_S = 1.0  # after which waiting is a deadline of its own
LONGEST_WAIT_S = 5.0  # after which the class no longer counts


@dataclass(frozen=True, slots=True)
class Candidate:
    """An utterance that could run now."""

    key: int
    klass: UtteranceClass
    waiting_since_s: float  # it could have run since then
    dry_at_s: float | None = None  # when its listener has heard all; None: no sound was sent yet, or nobody listens
    first: bool = False  # its first sound is awaited

    def deadline_s(self) -> float:
        if self.first:
            return self.waiting_since_s
        dry_at = math.inf if self.dry_at_s is None else self.dry_at_s
        return min(dry_at, self.waiting_since_s + PATIENCE_S)

    def urgency(self, now: float) -> tuple[int, float, int]:
        """Smaller goes first."""
        waited_too_long = now - self.waiting_since_s >= LONGEST_WAIT_S
        return (0 if waited_too_long else RANK[self.klass], self.deadline_s(), self.key)


def choose(candidates: Iterable[Candidate], rows: int, now: float) -> list[int]:
    """The keys of at most `rows` candidates, the most urgent first."""
    ordered = sorted(candidates, key=lambda candidate: candidate.urgency(now))
    return [candidate.key for candidate in ordered[:rows]]


@dataclass(frozen=True, slots=True)
class Slots:
    """How many may speak at once. Files leave `reserve` free, so that a call never waits for a file."""

    total: int
    reserve: int

    @classmethod
    def of(cls, total: int) -> Slots:
        return cls(total, max(1, total // 4) if total > 1 else 0)

    def room_for(self, klass: UtteranceClass) -> int:
        return self.total - (self.reserve if klass == "file" else 0)

    def has_room(self, klass: UtteranceClass, active: int) -> bool:
        return active < self.room_for(klass)
