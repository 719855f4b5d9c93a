"""Who has a place for a call: by the workers' own copies, and by what this service gave away. Pure; given a clock.

Counted by room, so that a call is one call however many know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.api.worker_copy import WorkerCopy

STALE_AFTER_S = 3.0  # a busy machine misses a poll or two; a worker that misses six is gone
RESERVED_S = 15.0


class Ledger:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._given: dict[str, float] = {}  # room -> until; bounded by the fleet's capacity
        self.copies: dict[str, WorkerCopy] = {}  # every worker that ever answered
        self.withdrawn: set[str] = set()  # refused here while a worker may still hold a place for them

    def note(self, url: str, fleet: Mapping[str, Any]) -> None:
        """Take in one answer of /fleet. KeyError, TypeError or ValueError when it is not one."""
        self.copies[url] = copy = WorkerCopy.parse(url, fleet, seen_s=self._clock())
        for room in copy.with_job:
            self._given.pop(room, None)

    def note_place(self, url: str, fleet: Mapping[str, Any]) -> None:
        """Take in the answer to a reservation, which leaves the calls out."""
        self.copies[url] = WorkerCopy.parse(url, fleet, seen_s=self._clock()).with_calls_of(self.copies[url])

    def note_silence(self, url: str, *, refused: bool) -> None:
        if url in self.copies:
            self.copies[url] = self.copies[url].missed(refused)

    def give(self, room: str) -> bool:
        """Whether there is a place for `room`; it is held for RESERVED_S, or until the room has a job."""
        if self.free(beside=room) <= 0:
            return False
        self._given[room] = self._clock() + RESERVED_S
        return True

    def free(self, *, beside: str | None = None) -> int:
        """Calls that can begin now; a place that the room `beside` may have is not counted as taken."""
        workers = self.workers()
        places = sum(w.capacity for w in workers) - self._used(workers, beside)
        if not all(w.engines for w in workers):  # a worker that does not tell
            return places
        # Workers may share engines: each counts all of their slots, and a stopping one's calls still speak.
        slots = {name: slots for w in workers for name, slots in w.engines.items()}
        speaking = [w for w in self._answering() if w.engines.keys() & slots.keys()]
        return min(places, sum(slots.values()) - self._used(speaking, beside))

    def workers(self) -> list[WorkerCopy]:
        """Workers that answer and take calls."""
        return [w for w in self._answering() if w.takes_calls]

    def _answering(self) -> list[WorkerCopy]:
        since = self._clock() - STALE_AFTER_S
        return [w for w in self.copies.values() if w.seen_s >= since]

    def _used(self, workers: Sequence[WorkerCopy], beside: str | None) -> int:
        now = self._clock()
        self._given = {room: until for room, until in self._given.items() if until > now}
        calls: frozenset[str] = frozenset().union(*(w.with_job for w in workers))
        held = frozenset(self._given).union(*(w.reserved for w in workers)) - calls - self.withdrawn - {beside}
        # A worker that names not all of its calls: those are ours, or came by another door.
        unnamed = max(0, sum(w.active for w in workers) - len(calls))
        return len(calls) + max(unnamed, len(held))
