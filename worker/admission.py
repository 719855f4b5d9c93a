"""How many calls this worker takes, and whether it takes one more. The only place that computes either.

Pure: it is told the facts and given a clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

CALLS_PER_CORE_EMBEDDED = 1.5  # a call costs 0.3 core of embedded models and 0.28 of worker; the rest is head-room
CALLS_PER_CORE_REMOTE = 4.0  # silero, end-of-turn model and the job itself: about 0.16-0.25 core
# LiveKit offers nothing at 1, hears of a free place up to 2.5 s late, and never offers a call twice: the calls of that
# time would stay without an agent. Below 1 it asks, and admission answers exactly.
FULL_LOAD = 0.99
RESERVATION_S = 15.0  # from accepting a job to its process being seen; LiveKit assigns within 7.5 s or not at all


def capacity(*, max_calls: int | None, cores: int, embedded: bool, engine_slots: int | None) -> int:
    """Calls at once: MAX_CALLS, or what the cores carry; never more than the engine's slots (None: not known)."""
    per_core = CALLS_PER_CORE_EMBEDDED if embedded else CALLS_PER_CORE_REMOTE
    wanted = max_calls or max(1, int(cores * per_core))
    return max(0, wanted if engine_slots is None else min(wanted, engine_slots))


class Admission:
    """Counts calls: those that run, and those accepted a moment ago whose process is not there yet."""

    def __init__(self, running: Callable[[], Iterable[str]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._running = running
        self._clock = clock
        self._reserved: dict[str, float] = {}
        self.capacity = 0
        self.draining = False
        self.refused_total = 0

    def admit(self, job_id: str) -> bool:
        """Take the job (True) or refuse it; a taken job holds its place until it runs, is released, or times out."""
        if self.draining or self.free <= 0:
            self.refused_total += 1
            return False
        self._reserved[job_id] = self._clock() + RESERVATION_S
        return True

    def release(self, job_id: str) -> None:
        self._reserved.pop(job_id, None)

    @property
    def calls(self) -> frozenset[str]:
        """Ids of the jobs that hold a place."""
        now = self._clock()
        running = frozenset(self._running())
        self._reserved = {j: until for j, until in self._reserved.items() if until > now and j not in running}
        return running | self._reserved.keys()

    @property
    def active(self) -> int:
        return len(self.calls)

    @property
    def free(self) -> int:
        return self.capacity - self.active

    @property
    def load(self) -> float:
        """0 … FULL_LOAD for LiveKit's choice between workers."""
        return min(FULL_LOAD, self.active / self.capacity) if self.capacity else FULL_LOAD
