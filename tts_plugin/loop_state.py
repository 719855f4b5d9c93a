"""What an event loop tells of itself: how many tasks it has, and how late its ticks are. It is told of each tick."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

TICK_S = 0.1  # uvicorn's
REPORT_S = 5.0


def tasks_now() -> int:
    """Tasks of the running loop; 0 where none runs."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


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
