"""A circuit breaker as plain arithmetic on a clock that others read: closed, open after failures in a row, half open
once the pause is over, when one try decides.

Times are monotonic seconds: a wall clock that is set back would hold it open for as long (docs/decisions/0011).
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "half_open", "open"]
NUMBERS: dict[State, int] = {"closed": 0, "half_open": 1, "open": 2}

THRESHOLD = 3
PAUSE_S = 10.0


class Breaker:
    """`threshold` failures in a row open it for `pause_s` seconds."""

    def __init__(self, *, threshold: int = THRESHOLD, pause_s: float = PAUSE_S) -> None:
        self._threshold = threshold
        self._pause_s = pause_s
        self._failures = 0
        self._open_until: float | None = None

    def state(self, now: float) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def failed(self, now: float) -> None:
        """One more failure in a row. A half-open one opens at once."""
        if self.state(now) == "open":  # of a try that began before it opened
            return
        self._failures += 1
        if self._failures >= self._threshold or self._open_until is not None:
            self._open_until = now + self._pause_s

    def succeeded(self) -> None:
        self._failures, self._open_until = 0, None
