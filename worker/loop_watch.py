"""Whether an event loop gets its turns: how late they come, and, seen from a thread, whether they come at all."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

TICK_S = 0.1
REPORT_S = 5.0
LOOK_S = 0.2
BLOCKED_LOOKS = 10  # looks, not seconds: where the machine stands still, the looking thread gets none either

log = logging.getLogger(__name__)


class LoopLag:
    """Measures in its own loop. `report(longest_s)` gets the longest delay of a turn of each REPORT_S."""

    def __init__(self, report: Callable[[float], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.ticks = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="loop-lag")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            longest_s, until = 0.0, self._clock() + REPORT_S
            while (asked := self._clock()) < until:
                await asyncio.sleep(TICK_S)
                self.ticks += 1
                longest_s = max(longest_s, self._clock() - asked - TICK_S)
            self._report(longest_s)


class BlockedLoop:
    """A thread that looks at a loop's ticks. `is_blocked`: it had no turn while we had BLOCKED_LOOKS."""

    def __init__(self, lag: LoopLag, *, thread_id: int) -> None:
        """`thread_id`: the thread that runs the loop; when it is blocked, the log says where."""
        self._lag = lag
        self._thread_id = thread_id
        self._seen = -1
        self._looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop-watch", daemon=True)

    @property
    def is_blocked(self) -> bool:
        return self._looks >= BLOCKED_LOOKS

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()

    def look(self) -> None:
        if self._lag.ticks != self._seen:
            self._seen, self._looks = self._lag.ticks, 0
            return
        self._looks += 1
        if self._looks == BLOCKED_LOOKS:
            log.error(
                "the event loop has had no turn for %.0f s; it is here:\n%s", LOOK_S * BLOCKED_LOOKS, self._where()
            )

    def _where(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        return "".join(traceback.format_stack(frame, limit=12)) if frame else "(its thread has ended)"

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()
