"""What attackers send: nothing crashes, nothing is given away, memory stays, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import resource
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from http_parts import Engine, Service, Start

from worker.api.join_token import minter
from worker.settings import Settings

MIB = 1024 * 1024
IDLE = 10_000


def place(service: Service) -> tuple[str, int]:
    host, port = service.url.removeprefix("http://").split(":")
    return host, int(port)


async def raw(service: Service, data: bytes) -> bytes:
    """What the service answers to these bytes, until it closes."""
    reader, writer = await asyncio.open_connection(*place(service))
    try:
        writer.write(data)
        async with asyncio.timeout(15):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def rss_mib() -> float:
    return psutil.Process(os.getpid()).memory_info().rss / MIB


async def alive(service: Service) -> bool:
    async with service.client.get("/livez") as response:
        return response.status == 200


def test_ten_thousand_rooms_and_identities_cannot_be_guessed() -> None:
    secret = "a-secret-of-at-least-thirty-two-characters"
    import jwt

    from worker.api import join_token

    mint = minter(Settings(_env_file=None, livekit_api_secret=secret))
    rooms = {join_token.new_room() for _ in range(10_000)}
    assert len(rooms) == 10_000
    assert all(len(room.removeprefix("call-")) == 32 for room in rooms)
    for position in range(32):  # every hexadecimal digit comes about as often as every other, in every place
        seen = Counter(room.removeprefix("call-")[position] for room in rooms)
        assert len(seen) == 16
        assert min(seen.values()) > 400
    one = jwt.decode(mint("call-a", "n").participant_token, secret, ["HS256"])
    assert one["video"]["room"] == "call-a"
    assert not {"roomCreate", "roomList", "roomAdmin", "roomRecord", "hidden", "agent", "ingressAdmin"} & set(
        one["video"]
    )


VOICES = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "..\\..\\x",
    "a\x00b",
    "\x00",
    "․․/x",
    "．．／x",
    "a/../default",
    "/etc/passwd",
    "default.pt",
    "~root",
    "default\n",
    "\ud800",
    "a" * 65,
    "",
    "file:///etc/passwd",
    "http://169.254.169.254/",
]


@pytest.mark.parametrize("path", ["/synthesize", "/chat"])
async def test_a_voice_is_a_name_and_no_path(start: Start, path: str) -> None:
    service = await start()
    for voice in VOICES:
        async with service.client.post(path, json={"text": "Hi.", "voice_id": voice}) as response:
            assert response.status == 422, voice
            assert "passwd:" not in await response.text()


async def test_a_voice_that_is_a_link_to_a_file_is_not_there(
    start: Start, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies in the folder the service was started in: a voice is looked up, no file is opened."""
    (tmp_path / "evil").symlink_to("/etc/passwd")
    monkeypatch.chdir(tmp_path)
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": "Hi.", "voice_id": "evil"}) as response:
        assert response.status in (404, 422)
        assert "root:" not in await response.text()


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/index.html%00.js"],
)
async def test_the_page_serves_its_own_folder_only(start: Start, path: str) -> None:
    service = await start()
    answer = await raw(service, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b"\r\n")[0].split()[1] in (b"404", b"400"), answer[:80]
    assert b"root:" not in answer


async def test_a_gzip_bomb_stays_packed(start: Start) -> None:
    service = await start()
    bomb = gzip.compress(b"\0" * (64 * MIB))  # 64 KiB
    before = rss_mib()
    for path in ("/token", "/synthesize", "/chat"):
        async with service.client.post(path, data=bomb, headers={"Content-Encoding": "gzip"}) as response:
            assert response.status == 415
    assert rss_mib() - before < 50


async def test_ten_megabytes_of_text_are_not_kept(start: Start) -> None:
    service = await start()
    body = json.dumps({"text": "a" * (10 * MIB)}).encode()
    before = rss_mib()
    for path in ("/token", "/synthesize", "/chat") * 3:
        async with service.client.post(path, data=body, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 413
    assert rss_mib() - before < 50
    assert await alive(service)


@pytest.mark.parametrize("path", ["/synthesize", "/chat"])
@pytest.mark.parametrize(
    "body", [b'{"text": "\\ud800"}', b'{"text": "\xed\xa0\x80"}', b'{"text": "\xff"}', b"[" * 60_000]
)
async def test_text_that_is_no_text_is_no_crash(start: Start, engine: Engine, path: str, body: bytes) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post(path, data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status < 500 or response.status in (502, 503, 504)
        json.dumps((await response.read())[:80].decode("latin-1"))
    assert await alive(service)


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLING = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + SMUGGLED,
    "a list of lengths": b"Content-Length: 0, 44\r\n\r\n" + SMUGGLED,
    "a signed length": b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "a blank before the colon": b"Content-Length : 0\r\n\r\n" + SMUGGLED,
    "a folded header": b"X-A: b\r\n Content-Length: 44\r\n\r\n" + SMUGGLED,
    "chunked, but not at last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "xchunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a NUL": b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "a bare line feed": b"X-A: b\nContent-Length: 0\r\n\r\n" + SMUGGLED,
    "a wrong chunk": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_a_request_hidden_in_another_is_not_answered(start: Start, name: str) -> None:
    service = await start()
    answer = await raw(service, b"POST /token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + SMUGGLING[name])
    assert answer.count(b"HTTP/1.1 ") <= 1, answer[:400]
    assert b"voice_join_tokens" not in answer


async def test_two_hosts_are_none(start: Start) -> None:
    service = await start()
    answer = await raw(
        service, b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 403")


async def test_a_header_does_not_become_another(start: Start) -> None:
    """What a client sends comes back in no header."""
    service = await start()
    async with service.client.post(
        "/token?x=%0d%0aX-Evil:%201", json={"participant_name": "a\r\nX-Evil: 1"}
    ) as response:
        assert "X-Evil" not in response.headers
        assert response.status == 422


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)"])
async def test_what_was_given_comes_back_as_json_alone(start: Start, text: str) -> None:
    service = await start()
    for path, body in (
        ("/token", {"participant_name": text + "\x00"}),
        ("/token", {text: 1}),
        ("/synthesize", {"text": "Hi.", "voice_id": text}),
        ("/" + text, None),
    ):
        async with service.client.post(path, json=body) as response:
            assert response.status in (404, 405, 422)
            assert "json" in response.headers["Content-Type"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy


@pytest.mark.timeout(120)
async def test_thousands_of_idle_sockets_cost_little_and_others_are_served(start: Start) -> None:
    """As many as this process may open, at most 10,000; both ends of each are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    service = await start()
    count = min(IDLE, hard - 1_000)
    before, idle, served_s = rss_mib(), [], []
    try:
        for n in range(count):
            idle.append(_idle(place(service)))
            if n % 100 == 0:
                served_s.append(await _served_from_elsewhere(service))
        cost = rss_mib() - before
        assert cost < 50, f"{count} sockets cost {cost:.0f} MiB"
        assert max(served_s) < 5, served_s
    finally:
        for each in idle:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"{count} sockets, {cost:.1f} MiB, others served within {max(served_s) * 1000:.0f} ms")


def _idle(to: tuple[str, int]) -> socket.socket:
    each = socket.socket()
    each.setblocking(False)
    each.connect_ex(to)
    return each


async def _served_from_elsewhere(service: Service) -> float:
    asked_s = time.perf_counter()
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*place(service), local_addr=("127.0.0.2", 0))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()
    return time.perf_counter() - asked_s


async def test_many_wrong_bodies_leave_no_memory_behind(start: Start) -> None:
    service = await start()
    bodies: list[Any] = [{"participant_name": "\x00" * n} for n in range(1, 60)] + [[], 1, "x", {"a": {"b": []}}]
    for body in bodies:
        await (await service.client.post("/token", json=body)).read()
    before = rss_mib()
    for _ in range(5):
        for body in bodies:
            async with service.client.post("/token", json=body) as response:
                assert response.status == 422
    assert rss_mib() - before < 20
