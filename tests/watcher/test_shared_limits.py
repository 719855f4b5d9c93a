"""Several copies of the HTTP service count one asker together."""

from __future__ import annotations

from worker.api.limits import Rate
from worker.settings import Settings


async def test_two_services_share_one_rate_in_redis(redis_url: str) -> None:
    settings = Settings(_env_file=None, redis_url=redis_url, rate_per_minute=4)
    one, other = Rate(settings), Rate(settings)
    assert [await rate.take("shop") > 0 for rate in (one, other, one, other, one, other)] == [False] * 4 + [True] * 2
    assert await other.take("else") == 0
