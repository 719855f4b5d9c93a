"""The engines of one event loop: a client for each, and the probe that finds out when a failed one is well again.

Knows addresses and voices' names, nothing of what is said. Which engine speaks is decided by breakers.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tts_plugin.breakers import Breakers
from tts_plugin.client import EngineClient, EngineUnreachable
from tts_plugin.log import logger

_PROBE_S = 1.0


@dataclass(frozen=True, slots=True)
class Engine:
    """`voice`: an id or alias of this engine's voices; None: the voice of the TTS, or its stand-in."""

    base_url: str
    voice: str | None = None


class Engines:
    """Belongs to the loop that made it."""

    def __init__(self, engines: Sequence[Engine], breakers: Breakers, connect_timeout_s: float) -> None:
        self.clients = [EngineClient(engine.base_url, connect_timeout_s=connect_timeout_s) for engine in engines]
        self._breakers = breakers
        self._probing: asyncio.Task[None] | None = None

    async def warm(self) -> None:
        """Open every socket ahead of the first turn, the standby's too: a swap then waits for no handshake."""
        results = await asyncio.gather(*(client.connect() for client in self.clients), return_exceptions=True)
        for number, (client, result) in enumerate(zip(self.clients, results, strict=True)):
            if isinstance(result, EngineUnreachable):
                logger.warning("the engine at %s could not be reached ahead of the first turn", client.base_url)
                self._breakers.failed(number, time.monotonic())
        self.probe()

    def probe(self) -> None:
        """Ask the engines whose breaker is open, each when its pause is over, until all are closed."""
        if self._breakers.next_probe() is not None and (self._probing is None or self._probing.done()):
            self._probing = asyncio.create_task(self._probe(), name="vibevoice probe")

    async def aclose(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await asyncio.gather(*(client.aclose() for client in self.clients))

    async def _probe(self) -> None:
        while (due := self._breakers.next_probe()) is not None:
            engine, at_s = due
            wait_s = at_s - time.monotonic()
            if wait_s > 0:  # looked at again afterwards: meanwhile another may have failed, or this one spoken
                await asyncio.sleep(min(wait_s, _PROBE_S))
            elif await self.clients[engine].ready(_PROBE_S):
                self._breakers.ready(engine)
            else:
                self._breakers.failed(engine, time.monotonic())
