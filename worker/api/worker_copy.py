"""One worker as it described itself in /fleet, and whether it still does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit


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
    starting: frozenset[str]  # rooms whose job has not reported yet
    reserved: frozenset[str]
    hand_over: tuple[str, ...]
    engines: Mapping[str, int]  # the voices that speak its calls, and their slots
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
            starting=frozenset(map(str, fleet.get("starting", ()))),
            reserved=frozenset(map(str, fleet.get("reserved", ()))),
            engines={_known_as(engine, url): int(slots) for engine, slots in fleet.get("engines", {}).items()},
            hand_over=tuple(map(str, fleet.get("hand_over", ()))),
            jobs=tuple(fleet["jobs"]),
            lost=tuple(fleet.get("lost", ())),
            seen_s=seen_s,
        )

    @property
    def with_job(self) -> frozenset[str]:
        return self.rooms | self.starting

    @property
    def free(self) -> int:
        return max(0, self.capacity - self.active - len(self.reserved))

    @property
    def takes_calls(self) -> bool:
        return self.registered and not self.draining

    def with_calls_of(self, other: WorkerCopy) -> WorkerCopy:
        """The answer to a reservation leaves the calls out."""
        return replace(self, rooms=other.rooms, jobs=other.jobs, lost=other.lost)

    def missed(self, refused: bool) -> WorkerCopy:
        return replace(self, misses=self.misses + 1, refused=refused)


def _known_as(engine: str, worker: str) -> str:
    """An engine at 127.0.0.1 is another one on each worker's machine."""
    host = urlsplit(engine).hostname or ""
    return f"{urlsplit(worker).hostname} {engine}" if host == "localhost" or host.startswith("127.") else engine
