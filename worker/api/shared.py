"""What several copies of the service share: redis, where REDIS_URL names one. Where it is away, each copy is alone.

Knows nothing of what is shared.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from worker.settings import Settings, SettingsError

if TYPE_CHECKING:
    from redis.asyncio import Redis

DEADLINE_S = 0.5
AGAIN_S = 5.0  # how long redis is left alone when it does not answer

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Away(Exception):
    """There is no redis, or it does not answer."""


class Shared:
    """SettingsError when REDIS_URL cannot be used. `clock`: monotonic seconds."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = _connect(settings)
        self._clock = clock
        self._away_until_s = float("-inf")

    async def ask(self, work: Callable[[Redis], Awaitable[T]], *, within_s: float = DEADLINE_S) -> T:
        """What `work` gets from redis. Away when there is none, or nothing came within `within_s` seconds."""
        if self._redis is None or self._clock() < self._away_until_s:
            raise Away
        try:
            async with asyncio.timeout(within_s):
                return await work(self._redis)
        except Exception as error:  # whatever is wrong with redis, people are still answered
            self._away_until_s = self._clock() + AGAIN_S
            logger.warning("redis does not answer (%s): this copy of the service is alone", type(error).__name__)
            raise Away from None

    async def aclose(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()


def _connect(settings: Settings) -> Redis | None:
    if settings.redis_url is None:
        return None
    try:
        from redis.asyncio import from_url

        connected: Any = from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=DEADLINE_S)
    except Exception as error:  # of several kinds; none may show the URL's password
        raise SettingsError(f"REDIS_URL cannot be used ({type(error).__name__}); `pip install redis`?") from None
    return connected  # type: ignore[no-any-return]
