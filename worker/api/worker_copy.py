"""One worker as it described itself in /fleet, and whether it still does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerCopy:
    """`jobs` and `lost` hold the calls' last turns: for a successor, never for logs.

    `seen_s`: when it answered last (monotonic). `misses`: polls since then without an answer. `refused`: the last of
    them found nobody at the port, so the process is gone and not merely slow.
    """

    url: str
    capacity: int
    active: int
    draining: bool
    registered: bool
    rooms: frozenset[str]
    reserved: frozenset[str]
    hand_over: tuple[str, ...]
    jobs: tuple[Mapping[str, Any], ...]
    lost: tuple[Mapping[str, Any], ...]
    seen_s: float
    misses: int = 0
    refused: bool = False

    @classmethod
    def parse(cls, url: str, fleet: Mapping[str, Any], *, seen_s: float) -> WorkerCopy:
        """KeyError, TypeError or ValueError when it is not an answer of /fleet."""
        return cls(
            url=url,
            capacity=int(fleet["capacity"]),
            active=int(fleet["active"]),
            draining=bool(fleet["draining"]),
            registered=bool(fleet.get("registered", True)),
            rooms=frozenset(str(job["room"]) for job in fleet["jobs"]),
            reserved=frozenset(map(str, fleet.get("reserved", ()))),
            hand_over=tuple(map(str, fleet.get("hand_over", ()))),
            jobs=tuple(fleet["jobs"]),
            lost=tuple(fleet.get("lost", ())),
            seen_s=seen_s,
        )

    @property
    def taken(self) -> int:
        """Places: calls, and rooms whose caller is on the way."""
        return self.active + len(self.reserved)

    @property
    def free(self) -> int:
        return max(0, self.capacity - self.taken)

    @property
    def takes_calls(self) -> bool:
        return self.registered and not self.draining

    def with_calls_of(self, other: WorkerCopy) -> WorkerCopy:
        """The answer to a reservation leaves the calls out."""
        return replace(self, rooms=other.rooms, jobs=other.jobs, lost=other.lost)

    def missed(self, refused: bool) -> WorkerCopy:
        return replace(self, misses=self.misses + 1, refused=refused)
