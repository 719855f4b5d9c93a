"""Connections and requests that only hold things up end: slow heads, slow readers, too many, too long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from http_parts import Service, Start, until
from starlette.types import Receive, Scope, Send

from worker.api import guards
from worker.api.app import listen
from worker.api.guards import Deadline, guarded

HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


def place(service: Service) -> tuple[str, int]:
    host, port = service.url.removeprefix("http://").split(":")
    return host, int(port)


async def said(service: Service, *parts: bytes, within_s: float = 10) -> bytes:
    """All that the service says until it closes."""
    reader, writer = await asyncio.open_connection(*place(service))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(within_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("parts", [(), (HEAD,), (HEAD + b"X-A: ",), (b"GE",)])
async def test_a_head_that_does_not_come_is_not_waited_for(
    start: Start, monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(guards, "HEAD_TIMEOUT_S", 0.2)
    service = await start()
    assert (await said(service, *parts)).startswith(b"HTTP/1.1 408")


async def test_a_second_request_on_a_connection_has_no_more_time(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "HEAD_TIMEOUT_S", 0.2)
    service = await start()
    answer = await said(service, HEAD + b"\r\n", b"GET /livez HTTP/1.1\r\nX-Slow: ")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"HTTP/1.1 408" in answer


async def test_a_connection_may_rest_between_requests(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "HEAD_TIMEOUT_S", 0.1)
    service = await start()
    reader, writer = await asyncio.open_connection(*place(service))
    for _ in range(2):
        writer.write(HEAD + b"\r\n")
        assert b"200" in await asyncio.wait_for(reader.readline(), 5)
        await asyncio.wait_for(reader.readuntil(b'{"status":"ok"}'), 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.4)
    writer.close()


@pytest.mark.parametrize(
    "head", [b"X-Long: " + b"a" * 100_000, b"".join(b"X-%d: a\r\n" % n for n in range(20_000))], ids=["long", "many"]
)
async def test_a_head_without_end_is_cut_off(start: Start, head: bytes) -> None:
    service = await start()
    answer = await said(service, HEAD + head)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")


async def test_one_address_has_so_many_connections_and_others_theirs(start: Start) -> None:
    service = await start(connections_per_address=3)
    held = [await asyncio.open_connection(*place(service)) for _ in range(3)]
    assert await said(service, HEAD + b"\r\n") == b""
    reader, writer = await asyncio.open_connection(*place(service), local_addr=("127.0.0.2", 0))
    writer.write(HEAD + b"\r\n")
    assert b"200" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    held.pop()[1].close()
    async with asyncio.timeout(5):
        while not (await said(service, HEAD + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200"):
            await asyncio.sleep(0.02)
    for _, writer in held:
        writer.close()


async def test_idle_connections_from_many_addresses_keep_nobody_out(start: Start) -> None:
    service = await start()
    held = []
    for address in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        for n in range(120):
            held.append(await asyncio.open_connection(*place(service), local_addr=(address, 0)))
            held[-1][1].write((b"", HEAD, HEAD + b"\r\n")[n % 3])  # silent, half a head, at rest after an answer
    reader, writer = await asyncio.open_connection(*place(service), local_addr=("127.0.0.5", 0))
    writer.write(HEAD + b"\r\n")
    assert b" 200 " in await asyncio.wait_for(reader.readline(), 10)
    for _, each in [*held, (reader, writer)]:
        each.transport.abort()


@asynccontextmanager
async def serve(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> AsyncIterator[int]:
    """A server with nothing but the protocol before `app`; gives its port."""
    server = uvicorn.Server(
        uvicorn.Config(app, http=guarded(per_address=9), lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    )
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="guarded-server")
    await until(lambda: server.started or task.done())
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def _endless(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"\0" * 65_536, "more_body": True})
        await asyncio.sleep(0)


async def test_who_reads_nothing_is_cut_off_and_the_speaker_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "READER_TIMEOUT_S", 0.3)
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        speaking = asyncio.create_task(_endless(scope, receive, send), name="speaker")
        while (await receive())["type"] != "http.disconnect":
            pass
        speaking.cancel()
        ended.set()

    async with serve(app) as port:
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.sendall(HEAD + b"\r\n")
        await asyncio.wait_for(ended.wait(), 10)
        deaf.close()


async def test_who_reads_slowly_but_reads_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "READER_TIMEOUT_S", 2.0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8000000")]})
        await send({"type": "http.response.body", "body": b"\0" * 4_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"\0" * 4_000_000})

    async with serve(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
        writer.write(HEAD + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        got = 0
        while got < 8_000_000:
            got += len(await asyncio.wait_for(reader.read(400_000), 5))
            await asyncio.sleep(0.01)
        writer.close()


async def test_an_answer_that_does_not_begin_is_not_waited_for() -> None:
    sent: list[dict[str, object]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/slow", "method": "GET", "headers": []}
    deadline = Deadline(app, seconds=60, longer={"/slow": 0.05})
    await asyncio.wait_for(deadline(scope, None, send), 5)  # type: ignore[arg-type]
    assert sent[0]["status"] == 504


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    sent: list[dict[str, object]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"whole"})

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "method": "GET", "headers": []}
    await Deadline(app, seconds=0.05, longer={})(scope, None, send)  # type: ignore[arg-type]
    assert [m.get("status") or m.get("body") for m in sent] == [200, b"whole"]
