"""Who may talk to the service, what it forbids browsers, and how much of a body it takes in."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from http_parts import Start, settings_for_test

from worker.api import body
from worker.api.app import create_app
from worker.api.security import content_security_policy, is_loopback
from worker.settings import SettingsError


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.test", ""])
def test_it_refuses_to_be_reached_from_elsewhere(host: str) -> None:
    with pytest.raises(SettingsError, match="HOST is"):
        create_app(settings_for_test(host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST."])
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.evil.test", "127.0.0.1.evil.test", "2130706433", "127.1", "::ffff:8.8.8.8"]
)
def test_names_that_only_look_like_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test:8080", "localhost@evil.test", "[::1", ""])
async def test_a_name_that_was_rebound_to_this_machine_is_refused(start: Start, host: str) -> None:
    service = await start()
    async with service.client.get("/", headers={"Host": host}) as response:
        assert response.status == 403
        assert (await response.json())["code"] == "wrong_host"


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "http://127.0.0.1.evil.test", "file://", "http://["])
async def test_a_page_of_another_site_gets_no_token(start: Start, origin: str) -> None:
    service = await start()
    async with service.client.post("/token", headers={"Origin": origin}) as response:
        assert response.status == 403
        assert (await response.json())["code"] == "wrong_origin"


async def test_a_page_of_this_machine_is_heard(start: Start) -> None:
    service = await start()
    async with service.client.post("/token", headers={"Origin": "http://localhost:8080"}) as response:
        assert (await response.json())["code"] == "no_agents"


@pytest.mark.parametrize("path", ["/", "/nothing", "/health"])
async def test_every_answer_tells_the_browser_what_to_forbid(start: Start, path: str) -> None:
    service = await start(livekit_public_url="wss://calls.example.test")
    async with service.client.get(path) as response:
        headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Permissions-Policy"] == "microphone=(self), camera=(), geolocation=()"
    policy = dict(p.strip().split(" ", 1) for p in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "'self' wss://calls.example.test https://calls.example.test"
    assert policy["frame-ancestors"] == "'none'"


def test_a_plain_livekit_url_opens_no_more_than_itself() -> None:
    assert "connect-src 'self' ws://127.0.0.1:7880 http://127.0.0.1:7880;" in content_security_policy(
        "ws://127.0.0.1:7880"
    )


@pytest.mark.parametrize(("path", "limit_bytes"), [("/token", 64 * 1024), ("/synthesize", 256 * 1024)])
async def test_a_body_over_the_limit_is_refused_by_its_length(start: Start, path: str, limit_bytes: int) -> None:
    service = await start()
    for size, status in ((limit_bytes, 422), (limit_bytes + 1, 413)):
        headers = {"Content-Type": "application/json"}
        async with service.client.post(path, data=b" " * size, headers=headers) as response:
            assert response.status == status
            assert (await response.json())["code"] == {422: "invalid", 413: "too_large"}[status]


async def test_a_body_over_the_limit_is_refused_when_its_length_was_not_told(start: Start) -> None:
    service = await start()

    async def endless() -> object:
        for _ in range(100):
            yield b" " * 10_000

    async with service.client.post("/token", data=endless()) as response:
        assert response.status == 413


async def test_a_compressed_body_is_not_unpacked(start: Start) -> None:
    service = await start()
    async with service.client.post("/token", data=b"x", headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 415


async def test_a_body_that_dribbles_in_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT_S", 0.2)
    service = await start()
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408")


async def test_it_opens_no_websocket(start: Start) -> None:
    service = await start()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await service.client.ws_connect("/token")
