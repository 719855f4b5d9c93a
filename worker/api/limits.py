"""How often and how much at once one asker, and one address, may ask. Pure ASGI; 429 beyond.

Both are counted over all copies of the service when REDIS_URL is set.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.api.asker import Asker, address_of, is_this_machine
from worker.api.at_once import AtOnce
from worker.api.errors import ApiError, answer
from worker.api.gate import PROTOCOL, is_public
from worker.api.security import hostname
from worker.settings import Settings, SettingsError

REDIS_DEADLINE_S = 0.03  # a join token has 50 ms
AGAIN_S = 5.0  # how long redis is left alone when it does not answer

logger = logging.getLogger(__name__)
WhoAsks = Callable[[Scope], str | None]


class Rate:
    """Requests a minute by name, in redis or, where there is none or it is away, here."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._item = RateLimitItemPerMinute(settings.rate_per_minute)
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = _redis(settings)
        self._clock = clock
        self._away_until_s = float("-inf")

    async def take(self, name: str) -> float:
        """0: it may ask. Else the seconds until it may."""
        if self._shared is not None and self._clock() >= self._away_until_s:
            try:
                async with asyncio.timeout(REDIS_DEADLINE_S):
                    return await self._take(self._shared, name)
            except Exception as error:  # whatever is wrong with redis, people are still answered
                self._away_until_s = self._clock() + AGAIN_S
                logger.warning("the rate is counted here, redis does not: %s", type(error).__name__)
        return await self._take(self._here, name)

    async def _take(self, limiter: SlidingWindowCounterRateLimiter, name: str) -> float:
        if await limiter.hit(self._item, name):
            return 0.0
        reset_s = (await limiter.get_window_stats(self._item, name)).reset_time - time.time()
        return min(60.0, max(1.0, reset_s))


class Limited:
    """ASGI middleware. `who`: whom to count a request for; None: nobody, it is not limited."""

    def __init__(self, app: ASGIApp, *, who: WhoAsks, rate: Rate, at_once: AtOnce) -> None:
        self._app = app
        self._who = who
        self._rate = rate
        self._at_once = at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = self._who(scope) if scope["type"] in ("http", "websocket") else None
        if name is None:
            await self._app(scope, receive, send)
            return
        lease = await self._at_once.enter(name)
        if lease is None:
            message = f"{self._at_once.most} requests at once are allowed."
            await _refuse(ApiError(429, "too_many_at_once", message, retry_after_s=1.0), scope, receive, send)
            return
        try:
            if refusal := await self._too_often(scope, name):
                await _refuse(refusal, scope, receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            self._at_once.leave(name, lease)

    async def _too_often(self, scope: Scope, name: str) -> ApiError | None:
        if is_public(scope["path"]):  # a page is many files
            return None
        wait_s = await self._rate.take(name)
        if wait_s:
            return ApiError(429, "too_often", "That is too many requests a minute.", retry_after_s=wait_s)
        return None


def by_address(settings: Settings) -> WhoAsks:
    """Everybody but this machine, before it is known who asks: also those who guess at keys."""

    def who(scope: Scope) -> str | None:
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        if settings.open_on_loopback and is_this_machine(scope, hostname(f"//{host}")):
            return None
        return f"address:{address_of(scope)}"

    return who


def by_asker(scope: Scope) -> str | None:
    asker = scope["state"]["asker"]
    assert isinstance(asker, Asker)
    return f"{asker.kind}:{asker.id}" if asker.kind in ("key", "oidc") else None


async def _refuse(refusal: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Accepted first: a browser is told neither the status nor the body of an upgrade that was refused.
        spoken = PROTOCOL if PROTOCOL in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": spoken, "headers": []})
        await send({"type": "websocket.close", "code": 1013, "reason": refusal.message})
        return
    await answer(refusal)(scope, receive, send)


def _redis(settings: Settings) -> SlidingWindowCounterRateLimiter | None:
    if settings.redis_url is None:
        return None
    url = settings.redis_url.get_secret_value()
    scheme = "async+redis+" if url.startswith("unix:") else "async+"
    try:
        storage = RedisStorage(scheme + url, implementation="redispy", key_prefix="tts-ops:limits")
    except Exception as error:  # the library's own, of several kinds; none may show the URL's password
        raise SettingsError(f"REDIS_URL cannot be used ({type(error).__name__}); `pip install redis`?") from None
    return SlidingWindowCounterRateLimiter(storage)
