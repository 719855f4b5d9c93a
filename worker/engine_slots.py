"""How many utterances the voices can say at once: what bounds a worker's calls besides its own cores.

The sum over the engines that answer; the standby voice's where none does. The `slots` of an engine's /health are what
it can carry in real time now: one that measures its steps lowers them when they become slow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp

POLL_S = 2.0
DEADLINE_S = 1.5
SILENT_S = 10.0  # a busy machine misses a poll or two
START_S = 45.0  # engines load their model while the worker is up already

log = logging.getLogger(__name__)


class EngineSlots:
    """`total`: None while nothing is known yet, 0 when no voice has answered for SILENT_S."""

    def __init__(self, engines: Sequence[str], standby: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._engines = tuple(engines)
        self._standby = standby
        self._clock = clock
        self._started = clock()
        self._told: dict[str, tuple[int, float]] = {}  # address -> slots, when
        self.asked = asyncio.Event()  # all of them, once

    @property
    def total(self) -> int | None:
        if speaking := self.speaking:
            return sum(speaking.values())
        return None if not self._told and self._clock() - self._started < START_S else 0

    @property
    def speaking(self) -> dict[str, int]:
        """Address and slots of each voice that counts."""
        now = self._clock()
        alive = {url: slots for url, (slots, at) in self._told.items() if now - at <= SILENT_S}
        engines = {url: alive[url] for url in self._engines if url in alive}
        return engines or {url: slots for url, slots in alive.items() if url == self._standby}

    def note(self, url: str, health: Mapping[str, Any]) -> None:
        """What the engine at `url` says of itself. KeyError, TypeError or ValueError when that is not it."""
        if health.get("status", "ok") != "ok":  # loading, lost, stuck or leaving: as good as silent
            self._told.pop(url, None)
            return
        self._told[url] = (int(health["slots"]), self._clock())

    async def follow(self, apply: Callable[[int | None], None]) -> None:
        """Ask for ever; `apply(total)` after each round."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S)) as session:
            while True:
                await asyncio.gather(*(self._ask(session, url) for url in {*self._engines, self._standby}))
                apply(self.total)
                self.asked.set()
                await asyncio.sleep(POLL_S)

    async def _ask(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            async with session.get(f"{url}/health") as response:
                self.note(url, await response.json())
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            log.debug("the voice at %s does not answer: %s", url, type(error).__name__)
