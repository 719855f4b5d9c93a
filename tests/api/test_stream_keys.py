"""WS /stream: who may open a socket, and how much may be said by one key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from http_parts import Engine, Service, Start
from stream_parts import HELLO, Client, last, talking

from worker.keys import KeyFile
from worker.logs import TextFormatter


@pytest.fixture
async def shop(start: Start, engine: Engine, tmp_path: Path) -> tuple[Service, str]:
    """A service that asks for keys, and a key of it."""
    keys = KeyFile(tmp_path / "api-keys.json")
    secret = keys.add("shop")[1]
    service = await start(
        engine_url=engine.url, api_keys_file=keys.path, open_on_loopback=False, requests_at_once=2, rate_per_minute=12
    )
    return service, secret


async def test_a_key_comes_in_the_header_or_as_a_protocol(shop: tuple[Service, str]) -> None:
    service, secret = shop
    async with talking(service, headers={"Authorization": f"Bearer {secret}"}) as client:
        assert client.ws.protocol is None
        assert client.ws._response.headers["X-AI-Generated"] == "true"
    async with talking(service, protocols=("tts-ops", f"tts-ops.key.{secret}")) as client:
        assert client.ws.protocol == "tts-ops"  # never the one that holds the key


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Authorization": "Bearer ttsops_wrong"}},
        {"protocols": ("tts-ops", "tts-ops.key.ttsops_wrong")},
        {"protocols": ("tts-ops", "tts-ops.key.")},
    ],
)
async def test_without_a_right_key_there_is_no_socket(shop: tuple[Service, str], options: dict[str, Any]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await shop[0].client.ws_connect("/stream", **options)
    assert refused.value.status == 401


async def test_a_key_in_the_address_is_neither_taken_nor_logged(
    shop: tuple[Service, str], caplog: pytest.LogCaptureFixture
) -> None:
    service, secret = shop
    with caplog.at_level("INFO"), pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.client.ws_connect(f"/stream?key={secret}")
    assert refused.value.status == 401
    lines = [TextFormatter().format(record) for record in caplog.records]
    assert any("/stream" in line for line in lines)
    assert not any(secret in line for line in lines)


async def test_a_page_of_another_site_gets_no_socket(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await service.client.ws_connect("/stream", origin="https://elsewhere.example.test")
    assert refused.value.status == 403
    async with talking(service, origin=service.url) as client:
        assert client.hello["protocol"] == 1


async def test_sockets_of_a_key_are_counted(shop: tuple[Service, str]) -> None:
    service, secret = shop
    key: dict[str, Any] = {"headers": {"Authorization": f"Bearer {secret}"}}
    async with talking(service, **key), talking(service, **key):
        async with service.client.ws_connect("/stream", **key, protocols=("tts-ops",)) as third:
            assert third.protocol == "tts-ops"
            code, reason = await Client(third).closed()
            assert (code, "2 requests at once" in reason) == (1013, True)


async def test_utterances_of_a_key_are_counted_across_its_sockets(shop: tuple[Service, str]) -> None:
    service, secret = shop
    key: dict[str, Any] = {"headers": {"Authorization": f"Bearer {secret}"}}
    async with talking(service, **key) as one, talking(service, **key) as two:
        for id in "ab":
            await one.send("say", id=id)
            assert isinstance(await one.next(), dict)
        await two.send("say", id="c")
        assert last(await two.all())["message"] == "2 utterances at once are allowed"
        await one.send("cancel", id="a")
        assert last(await one.all())["cancelled"] is True
        await two.say("d", HELLO)
        assert last(await two.all())["type"] == "done"


async def test_each_utterance_counts_as_a_request(shop: tuple[Service, str]) -> None:
    service, secret = shop
    async with talking(service, headers={"Authorization": f"Bearer {secret}"}) as client:
        for n in range(20):
            await client.send("say", id=str(n))
            await client.send("cancel", id=str(n))
            told = last(await client.all())
            if told["type"] == "failed":
                break
    assert (told["code"], told["message"]) == ("at_capacity", "that is too many utterances a minute")
    assert n == 11  # the socket was the first of the 12 requests
    assert 1.0 <= told["retry_after_s"] <= 60.0
