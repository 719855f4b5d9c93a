"""How a worker stops: no new calls, time for those under way, then another worker takes them over, then goodbye.

Told of facts by the worker, and tells it what to do; knows neither LiveKit nor HTTP. The watcher reads `hand_over` in
/fleet and says for each room whether it was moved ("release") or nobody has a place for it ("goodbye").
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from worker.job_link import Command

HAND_OVER_S = 10.0  # an agent elsewhere needs about a second; the watcher looks twice a second
GOODBYE_S = 8.0  # one sentence, and the end of its job

log = logging.getLogger(__name__)


class Drain:
    """`begin()`, then `run()`. A call is cut when it was told goodbye, or when even that did not end it."""

    def __init__(
        self,
        *,
        rooms: Callable[[], tuple[str, ...]],
        command: Callable[[str, Command], bool],
        on_cut: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        hand_over_s: float = HAND_OVER_S,
        goodbye_s: float = GOODBYE_S,
    ) -> None:
        self._rooms = rooms
        self._command = command
        self._on_cut = on_cut
        self._clock = clock
        self._hand_over_s = hand_over_s
        self._goodbye_s = goodbye_s
        self._began_at: float | None = None
        self._told_goodbye: set[str] = set()
        self._forced = asyncio.Event()
        self._handing_over = False

    @property
    def seconds(self) -> float:
        """Since it began; 0 before."""
        return 0.0 if self._began_at is None else self._clock() - self._began_at

    @property
    def hand_over(self) -> tuple[str, ...]:
        """Rooms whose call must go on elsewhere."""
        return tuple(r for r in self._rooms() if r not in self._told_goodbye) if self._handing_over else ()

    def begin(self) -> bool:
        """False when it had begun already."""
        first = self._began_at is None
        if first:
            self._began_at = self._clock()
        return first

    def force(self) -> bool:
        """Hand the calls over now. False when that was asked already."""
        first = not self._forced.is_set()
        self._forced.set()
        return first

    def tell(self, room: str, command: Command) -> bool:
        """Pass a command on to the job in `room`; False when there is none."""
        told = self._command(room, command)
        if told and command == "goodbye" and room not in self._told_goodbye:
            self._told_goodbye.add(room)
            self._on_cut()
        return told

    async def run(self, over: Callable[[], Coroutine[Any, Any, None]], *, timeout_s: float) -> bool:
        """Until `over()` returns, which waits for the last call; False when a call had to be left as it was."""
        ending = asyncio.create_task(over(), name="drain-calls")
        forced = asyncio.create_task(self._forced.wait(), name="drain-forced")
        try:
            if timeout_s > 0:
                await asyncio.wait({ending, forced}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                log.warning("%d calls are handed over to other workers", len(self._rooms()))
                self._handing_over = True
                await asyncio.wait({ending}, timeout=self._hand_over_s)
            if not ending.done():
                await self._say_goodbye(ending)
            return ending.done()
        finally:
            forced.cancel()
            ending.cancel()
            await asyncio.gather(forced, ending, return_exceptions=True)

    async def _say_goodbye(self, ending: asyncio.Task[None]) -> None:
        left = self.hand_over
        log.warning("%d calls found no other worker: they are told goodbye", len(left))
        for room in left:
            self.tell(room, "goodbye")
        await asyncio.wait({ending}, timeout=self._goodbye_s)
