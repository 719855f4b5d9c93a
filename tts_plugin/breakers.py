"""Which engine speaks next: one circuit breaker per engine, as plain arithmetic on a clock of the caller's.

Knows no socket: it is told who failed and who spoke. The first engine is preferred, the last is the standby.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]

FIRST_PAUSE_S = 2.0  # how long an engine is left alone after its first failure; doubles with every further one
LONGEST_PAUSE_S = 30.0
REFUSED_PAUSE_S = 1.0  # a full engine that does not say when to come again


@dataclass(slots=True)
class _Breaker:
    closed: bool = True
    failures: int = 0  # since it last said something to the end
    pause_until_s: float = 0.0


class Breakers:
    """Opens at a failure, half open when the pause is over, closed by a probe that succeeded or by words spoken."""

    def __init__(self, engines: int) -> None:
        self._breakers = [_Breaker() for _ in range(engines)]

    def state(self, engine: int, now_s: float) -> BreakerState:
        breaker = self._breakers[engine]
        if breaker.closed:
            return "closed"
        return "open" if now_s < breaker.pause_until_s else "half_open"

    def choose(self, now_s: float, without: Collection[int] = ()) -> int | None:
        """The first engine whose breaker is closed; else one half open, else any: never nobody while one is left."""
        order: list[BreakerState] = ["closed", "half_open", "open"]
        left = [engine for engine in range(len(self._breakers)) if engine not in without]
        return min(left, key=lambda engine: order.index(self.state(engine, now_s)), default=None)

    def failed(self, engine: int, now_s: float) -> None:
        breaker = self._breakers[engine]
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(breaker.failures, 10))
        breaker.failures += 1
        breaker.closed, breaker.pause_until_s = False, now_s + pause_s

    def refused(self, engine: int, now_s: float, retry_after_s: float | None) -> None:
        """It has no room: no fault, so the next pause is no longer for it."""
        pause_s = REFUSED_PAUSE_S if retry_after_s is None else max(0.0, min(LONGEST_PAUSE_S, retry_after_s))
        breaker = self._breakers[engine]
        breaker.closed, breaker.pause_until_s = False, max(breaker.pause_until_s, now_s + pause_s)

    def ready(self, engine: int) -> None:
        """A probe succeeded. Failures stay counted until it has spoken: ready is not yet able to speak."""
        self._breakers[engine].closed = True

    def spoke(self, engine: int) -> None:
        """It said something to the end."""
        breaker = self._breakers[engine]
        breaker.closed, breaker.failures = True, 0

    def next_probe(self) -> tuple[int, float] | None:
        """The engine to probe next and when; None while all are closed."""
        waiting = [(breaker.pause_until_s, n) for n, breaker in enumerate(self._breakers) if not breaker.closed]
        if not waiting:
            return None
        at_s, engine = min(waiting)
        return engine, at_s
