"""Which of several watchers acts: a lease in redis. Where redis does not answer, each of them does: they do no harm."""

from __future__ import annotations

import asyncio
import logging
import secrets

import redis.asyncio as redis
from redis.exceptions import RedisError

KEY = "tts-ops:watcher"
LEASE_S = 3.0
RENEW_S = 1.0
ASK_S = 0.5
# Only the holder may renew or give back: between two commands the lease could pass to another.
_RENEW = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('pexpire', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('get', KEYS[1]) == ARGV[1] and redis.call('del', KEYS[1]) or 0"

log = logging.getLogger(__name__)


class Lease:
    """`held`: this watcher acts. A task of its own takes and renews it."""

    def __init__(self, url: str, *, agent_name: str) -> None:
        self._redis: redis.Redis = redis.from_url(url, socket_timeout=ASK_S, socket_connect_timeout=ASK_S)
        self._key = f"{KEY}:{agent_name}"
        self._token = secrets.token_hex(16)
        self._reachable = True
        self._task: asyncio.Task[None] | None = None
        self.held = False

    async def start(self) -> None:
        await self.renew()
        self._task = asyncio.create_task(self._keep(), name="watcher-lease")

    async def aclose(self) -> None:
        """Give it back, so that another watcher acts at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(ASK_S):
                await self._redis.eval(_RELEASE, 1, self._key, self._token)
        except (RedisError, OSError, TimeoutError):
            log.debug("the lease was not given back: it lapses")
        self.held = False
        await self._redis.aclose()

    async def renew(self) -> None:
        """Take or keep the lease."""
        lease_ms = int(LEASE_S * 1000)
        try:
            async with asyncio.timeout(2 * ASK_S):
                self.held = bool(await self._redis.set(self._key, self._token, nx=True, px=lease_ms)) or bool(
                    await self._redis.eval(_RENEW, 1, self._key, self._token, lease_ms)
                )
        except (RedisError, OSError, TimeoutError) as error:
            if self._reachable:  # once per outage
                log.warning("redis does not answer (%s): this watcher acts without a lease", type(error).__name__)
            self._reachable, self.held = False, True
        else:
            self._reachable = True

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self.renew()
