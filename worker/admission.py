"""How many calls this worker takes, and whether it takes one more. The only place that computes either.

Pure: it is told the facts and given a clock. Safe to ask from any thread: LiveKit asks for the load in one of its own,
and the health routes live in another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal

CALLS_PER_CORE_EMBEDDED = 1.5  # a call costs 0.3 core of embedded models and 0.28 of worker; the rest is head-room
CALLS_PER_CORE_REMOTE = 4.0  # silero, end-of-turn model and the job itself: about 0.16-0.25 core
# LiveKit offers nothing at 1, hears of a free place up to 2.5 s late, and never offers a call twice: the calls of that
# time would stay without an agent. Below 1 it asks, and admission answers exactly.
FULL_LOAD = 0.99
RESERVATION_S = 15.0  # from a join token to its call; and from accepting a job to its process being seen
LOST_CALL_S = 12.0  # how long the place of a job that died is kept for its successor: three tries of AGENT_WAIT_S

Refusal = Literal["at_capacity", "draining", "no_descriptors"]


def capacity(*, max_calls: int | None, cores: int, embedded: bool, engine_slots: int | None) -> int:
    """Calls at once: MAX_CALLS, or what the cores carry; never more than the engines' slots (None: not known)."""
    per_core = CALLS_PER_CORE_EMBEDDED if embedded else CALLS_PER_CORE_REMOTE
    wanted = max_calls or max(1, int(cores * per_core))
    return max(0, wanted if engine_slots is None else min(wanted, engine_slots))


class Admission:
    """Counts places, one for each room: with a job that runs or was just accepted, or with a caller on the way.

    A room's next job takes its room's place, so that a call is never lost for want of the place it already has.
    """

    def __init__(
        self,
        running: Callable[[], Iterable[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
        can_start: Callable[[], bool] = lambda: True,
    ) -> None:
        """`running` gives the rooms whose job runs; `can_start` says whether a process more can be started."""
        self._running = running
        self._clock = clock
        self._can_start = can_start
        self._accepted: dict[str, float] = {}  # room -> until
        self._reserved: dict[str, float] = {}  # room -> until
        self._lock = threading.Lock()
        self.capacity = 0
        self.draining = False

    def reserve(self, room: str) -> Refusal | None:
        """Hold a place for the call in `room` for RESERVATION_S; the reason when there is none."""
        return self._take(self._reserved, room)

    def admit(self, room: str) -> Refusal | None:
        """Take the job for `room`; the reason when it is refused.

        It holds its place until it runs, is released, or RESERVATION_S are over.
        """
        refusal = self._take(self._accepted, room)
        if refusal is None:
            self.unreserve(room)  # after the other: the place is never free between them
        return refusal

    def keep(self, room: str) -> None:
        """The job of `room` died: its place is not for a new caller but for the job that takes the call over."""
        if not self.draining:
            self._reserved[room] = self._clock() + LOST_CALL_S

    def release(self, room: str) -> None:
        """An accepted job did not come."""
        self._accepted.pop(room, None)

    def unreserve(self, room: str) -> None:
        self._reserved.pop(room, None)

    @property
    def calls(self) -> frozenset[str]:
        """Rooms with a job, or with one on its way."""
        return frozenset(self._running()) | _alive(self._accepted, self._clock())

    @property
    def reserved(self) -> frozenset[str]:
        """Rooms that hold a place and have no job yet."""
        return _alive(self._reserved, self._clock()) - self.calls

    @property
    def active(self) -> int:
        return len(self.calls)

    @property
    def free(self) -> int:
        """Below zero when the capacity shrank, or a dying job is still there beside its successor."""
        return self.capacity - len(self.calls | self.reserved)

    @property
    def load(self) -> float:
        """0 … FULL_LOAD for LiveKit's choice between workers, which asks twice a second: time to tidy up."""
        with self._lock:
            self._forget()
        return min(FULL_LOAD, 1 - max(0, self.free) / self.capacity) if self.capacity else FULL_LOAD

    def _take(self, places: dict[str, float], room: str) -> Refusal | None:
        with self._lock:
            if self.draining:
                return "draining"
            if not self._can_start():
                return "no_descriptors"
            if self.free <= 0 and room not in self.calls | self.reserved:
                return "at_capacity"
            self._forget()
            places[room] = self._clock() + RESERVATION_S
            return None

    def _forget(self) -> None:
        """What holds no place any more. Only within the lock: nothing may be added meanwhile."""
        now = self._clock()
        for places, seen in ((self._accepted, frozenset(self._running())), (self._reserved, self.calls)):
            for room in [r for r, until in places.copy().items() if until <= now or r in seen]:
                places.pop(room, None)


def _alive(places: dict[str, float], now: float) -> frozenset[str]:
    return frozenset(room for room, until in places.copy().items() if until > now)
