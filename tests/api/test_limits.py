"""How often and how much at once one key, and one address, may ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from http_parts import Service, Start, settings_for_test, until
from starlette.types import Receive, Scope, Send

from worker.api.asker import network
from worker.api.at_once import AtOnce
from worker.api.limits import Limited, Rate
from worker.api.shared import Shared
from worker.keys import KeyFile


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "api-keys.json")


async def statuses(service: Service, token: str | None, count: int, path: str = "/token") -> list[int]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    found = []
    for _ in range(count):
        async with service.client.post(path, headers=headers) as response:
            found.append(response.status)
    return found


async def test_a_key_that_asks_too_often_is_told_when_to_come_back(start: Start, keys: KeyFile) -> None:
    _, text = keys.add("shop")
    service = await start(api_keys_file=keys.path, open_on_loopback=False, rate_per_minute=5)
    assert await statuses(service, text, 5) == [503] * 5
    async with service.client.post("/token", headers={"Authorization": f"Bearer {text}"}) as response:
        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert (await response.json())["code"] == "too_often"


async def test_who_guesses_at_keys_is_stopped(start: Start, keys: KeyFile) -> None:
    keys.add("shop")
    service = await start(api_keys_file=keys.path, open_on_loopback=False, rate_per_minute=5)
    found = await statuses(service, "ttsops_000000000000_" + "A" * 43, 7)
    assert found == [401] * 5 + [429] * 2


async def test_the_page_is_not_counted(start: Start, keys: KeyFile) -> None:
    service = await start(api_keys_file=keys.path, open_on_loopback=False, rate_per_minute=1)
    keys.add("shop")
    for _ in range(5):
        async with service.client.get("/livez") as response:
            assert response.status == 200


async def test_this_machine_is_not_limited(start: Start) -> None:
    service = await start(rate_per_minute=1)
    assert await statuses(service, None, 5) == [503] * 5


async def test_more_at_once_than_allowed_is_refused_and_the_place_comes_free_again() -> None:
    held = asyncio.Event()
    inside = 0
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        await held.wait()

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            seen.append(int(str(message["status"])))

    settings = settings_for_test()
    limited = Limited(app, who=lambda _: "shop", rate=Rate(settings), at_once=AtOnce(2, Shared(settings)))
    scope = {"type": "http", "path": "/token", "method": "POST", "headers": []}

    async def ask() -> None:
        await limited(dict(scope), None, send)  # type: ignore[arg-type]

    two = [asyncio.create_task(ask(), name=f"asker-{n}") for n in range(2)]
    await until(lambda: inside == 2)
    await ask()
    assert seen == [429]
    held.set()
    await asyncio.gather(*two)
    await ask()
    assert (inside, seen) == (3, [429])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.9", "203.0.113.10", False),
        ("2001:db8:1:2:3::4", "2001:db8:1:2:ffff::1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.9", "203.0.113.9", True),
        ("testclient", "nonsense", True),
    ],
)
def test_an_ipv6_subscriber_is_one_address(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same


async def test_a_redis_that_is_away_stops_nobody() -> None:
    rate = Rate(settings_for_test(redis_url="redis://127.0.0.1:9", rate_per_minute=2))
    assert [await rate.take("shop") > 0 for _ in range(3)] == [False, False, True]
