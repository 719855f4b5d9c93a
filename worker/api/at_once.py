"""How much one asker has going on at once, over all copies of the service: a set of leases in redis for each.

Each copy also counts for itself, and that alone where redis is away. A copy that dies frees its places within LEASE_S.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter

from worker.api.shared import Away, Shared

LEASE_S = 30.0
RENEW_S = 10.0
ASK_S = 0.03  # a join token has 50 ms
_PREFIX = "{tts-ops:now}"
# A place, if fewer than so many are taken. KEYS: who. ARGV: lease, most, now and lease in ms.
_ENTER = """
redis.call('zremrangebyscore', KEYS[1], '-inf', ARGV[3])
if redis.call('zcard', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('zadd', KEYS[1], ARGV[3] + ARGV[4], ARGV[1])
redis.call('pexpire', KEYS[1], ARGV[4])
return 1
"""


class AtOnce:
    """`most` for each name. Whoever enters leaves with what it was given."""

    def __init__(self, most: int, shared: Shared) -> None:
        self.most = most
        self._shared = shared
        self._here: Counter[str] = Counter()
        self._leases: dict[str, str] = {}  # lease -> name; bounded by the connections
        self._left: list[tuple[str, str]] = []
        self._news = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def enter(self, name: str) -> str | None:
        """A lease; None: `name` has as much going on as it may."""
        if self._here[name] >= self.most:
            return None
        self._here[name] += 1  # before the wait: others of this name ask meanwhile
        lease, entered = secrets.token_hex(8), False
        try:
            entered = await self._enter_shared(name, lease)
        finally:
            if not entered:
                self._count_down(name)
        return lease if entered else None

    def leave(self, name: str, lease: str) -> None:
        self._count_down(name)
        if self._leases.pop(lease, None) is not None:
            self._left.append((name, lease))
            self._news.set()

    async def aclose(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            await self._tell()

    async def _enter_shared(self, name: str, lease: str) -> bool:
        arguments = (lease, self.most, *_bounds_ms())
        try:
            entered = await self._shared.ask(
                lambda redis: redis.eval(_ENTER, 1, _key(name), *arguments), within_s=ASK_S
            )
        except Away:
            return True
        if entered:
            self._leases[lease] = name
            self._keeper = self._keeper or asyncio.create_task(self._keep(), name="at-once-leases")
        return bool(entered)

    def _count_down(self, name: str) -> None:
        self._here[name] -= 1
        if not self._here[name]:
            del self._here[name]

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RENEW_S):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            await self._tell()

    async def _tell(self) -> None:
        """Those that left are taken out, the others' leases begin anew. What redis does not hear, lapses."""
        left, self._left = self._left, []
        now_ms, lease_ms = _bounds_ms()

        async def tell(redis: object) -> None:
            pipeline = redis.pipeline(transaction=False)  # type: ignore[attr-defined]
            for name, lease in left:
                pipeline.zrem(_key(name), lease)
            for lease, name in self._leases.items():
                pipeline.zadd(_key(name), {lease: now_ms + lease_ms}, xx=True)
                pipeline.pexpire(_key(name), lease_ms)
            await pipeline.execute()

        try:
            await self._shared.ask(tell)
        except Away:
            return


def _bounds_ms() -> tuple[int, int]:
    return int(time.time() * 1000), int(LEASE_S * 1000)


def _key(name: str) -> str:
    return f"{_PREFIX}:{name}"
