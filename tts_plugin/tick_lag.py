"""How late an event loop is, by a tick that should come every TICK_S seconds. It is told of each tick."""

from __future__ import annotations

import time
from collections.abc import Callable

TICK_S = 0.1  # uvicorn's
REPORT_S = 5.0


class TickLag:
    """`report(longest_s)` gets the longest delay of a tick in each REPORT_S."""

    def __init__(self, report: Callable[[float], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._last = self._since = clock()
        self._longest = 0.0

    def tick(self) -> None:
        now = self._clock()
        self._longest = max(self._longest, now - self._last - TICK_S)
        self._last = now
        if now - self._since >= REPORT_S:
            self._report(self._longest)
            self._since, self._longest = now, 0.0
