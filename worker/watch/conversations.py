"""The last turns of every call, kept in redis for a watcher that starts after a worker has died. Words of callers: they
lapse KEPT_S after the call's end, and go to no log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

import redis.asyncio as redis
from redis.exceptions import RedisError

from worker import handover
from worker.handover import Turn

KEY = "tts-ops:turns"
KEPT_S = 300
REFRESH_S = 60.0
ASK_S = 0.5
MAX_ROOMS = 2_000

log = logging.getLogger(__name__)
Turns = tuple[Turn, ...]


class Conversations:
    """Both methods do nothing where redis does not answer: a call's next agent then knows less."""

    def __init__(self, url: str) -> None:
        """ValueError when the URL is none of redis."""
        self._redis: redis.Redis = redis.from_url(url, socket_timeout=ASK_S, socket_connect_timeout=ASK_S)
        self._saved: dict[str, tuple[Turns, float]] = {}
        self._reachable = True

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def save(self, current: Mapping[str, Turns]) -> None:
        """Write what is new, and now and then what is not, so that it does not lapse during a silent call."""
        now = time.monotonic()
        due = [room for room, turns in current.items() if self._is_due(room, turns, now)][:MAX_ROOMS]
        if due:
            pipe = self._redis.pipeline(transaction=False)
            for room in due:
                pipe.set(f"{KEY}:{room}", handover.encode(current[room], "no_agent"), ex=KEPT_S)
            if not await self._try(pipe.execute()):
                return
        kept = {room: saved for room, saved in self._saved.items() if room in current}
        self._saved = kept | {room: (current[room], now) for room in due}

    async def load(self, room: str) -> Turns:
        """What is known of the conversation in this room."""
        text = await self._try(self._redis.get(f"{KEY}:{room}"))
        told = handover.decode(text.decode()) if isinstance(text, bytes) else None
        return told.turns if told else ()

    def _is_due(self, room: str, turns: Turns, now: float) -> bool:
        saved, at = self._saved.get(room, ((), float("-inf")))
        return saved != turns or now - at > REFRESH_S

    async def _try(self, asked: object) -> object:
        try:
            async with asyncio.timeout(2 * ASK_S):
                answer: object = await asked  # type: ignore[misc]
        except (RedisError, OSError, TimeoutError) as error:
            if self._reachable:  # once per outage
                log.warning("redis does not answer (%s): conversations are not kept in it", type(error).__name__)
            self._reachable = False
            return None
        self._reachable = True
        return answer
