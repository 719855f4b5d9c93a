"""WS /stream and clients that send nonsense, too much, or nothing, or do not read."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest
from http_parts import Engine, Start, running, settings_for_test, until
from stream_parts import HELLO, LONG, Client, frame, last, raw, talking

from worker.api import app, relayed, socket_guards, stream_socket


async def test_who_gives_no_credit_is_not_waited_for(
    start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayed, "CREDIT_S", 0.2)
    async with talking(await start(engine_url=engine.url)) as client:
        await client.say("a", LONG, credit_samples=1_000)
        assert last(await client.all())["code"] == "timed_out"
        await until(lambda: engine.active == 0)


async def test_a_reader_who_does_not_read_is_cut_off(
    start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_guards, "READER_TIMEOUT_S", 0.3)
    service = await start(engine_url=engine.url)
    host, port = service.url.removeprefix("http://").split(":")
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.connect((host, int(port)))
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        upgrade = f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        head = f"GET /stream HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\n{upgrade}\r\n"
        await loop.sock_sendall(raw, head.encode())
        assert (await loop.sock_recv(raw, 4_096)).startswith(b"HTTP/1.1 101")
        for message in (
            {"type": "hello", "protocol": 1},
            *({"type": "say", "id": id, "pace": "fast"} for id in "abcd"),
            *({"type": "text", "id": id, "text": LONG} for id in "abcd"),
        ):
            await loop.sock_sendall(raw, frame(json.dumps(message).encode()))
        await until(lambda: engine.active > 0)
        await until(lambda: engine.active == 0, within_s=30)  # none of them can be over by itself: it has no credit


BAD_MESSAGES = [
    ("{", "not JSON"),
    ("[1]", "JSON object"),
    ('{"type": "shout"}', "allowed: hello, say"),
    ('{"type": "say", "id": ""}', "new and not empty"),
    ('{"type": "say", "id": "x", "speed": 2}', "no field 'speed'"),
    ('{"type": "say", "id": "x", "class": "king"}', "allowed: call, interactive, file"),
    ('{"type": "say", "id": "x", "seed": -1}', "0 to 2^63"),
    ('{"type": "say", "id": "x", "credit_samples": -1}', "negative"),
    ('{"type": "credit", "id": "x", "samples": -1}', "negative"),
    ('{"type": "text", "id": "nobody", "text": "x"}', "nobody"),
    ('{"type": "text", "id": "a\\ud800", "text": "x"}', "printable"),
]


async def test_a_bad_message_is_named_and_costs_nothing_else(start: Start, engine: Engine) -> None:
    assert len(BAD_MESSAGES) < stream_socket.MAX_BAD_MESSAGES
    async with talking(await start(engine_url=engine.url)) as client:
        await client.say("a", HELLO, end=False)
        for message, why in BAD_MESSAGES:
            await client.ws.send_str(message)
            while not isinstance(refused := await client.next(), dict) or refused["type"] != "failed":
                pass
            assert refused["code"] == "bad_message", message
            assert why in refused["message"], message
        await client.send("end", id="a")
        assert last(await client.all())["type"] == "done"


async def test_too_many_bad_messages_end_the_socket(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        for _ in range(21):
            await client.ws.send_bytes(b"\x00")
        assert await client.closed() == (1008, "more than 20 bad messages")


async def test_too_much_text_fails_that_utterance(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        await client.send("say", id="a", credit_samples=0)
        await client.send("text", id="a", text="x" * 20_001)
        assert last(await client.all())["code"] == "too_long"


async def test_a_message_may_have_64_kib(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with talking(service) as client:
        await client.ws.send_bytes(bytes(65_537))
        assert (await client.closed())[0] == 1009
    async with talking(service) as client:
        raw(client).write(frame(bytes(40_000), final=False) + frame(bytes(40_000), opcode=0))
        assert (await client.closed())[0] == 1009


async def test_text_that_is_no_utf8_ends_the_socket(start: Start, engine: Engine) -> None:
    async with talking(await start(engine_url=engine.url)) as client:
        raw(client).write(frame(b"\xff\xfe"))
        code, _ = await client.closed()
        assert code == 1007


@pytest.mark.parametrize("first", ['{"type": "hello", "protocol": 2}', '{"type": "say", "id": "a"}', "{"])
async def test_hello_comes_first(start: Start, engine: Engine, first: str) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.ws_connect("/stream") as ws:
        await ws.send_str(first)
        assert await Client(ws).closed() == (1002, "the first message must be hello, protocol 1")


async def test_who_says_nothing_is_sent_away(start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await start(engine_url=engine.url)
    monkeypatch.setattr(stream_socket, "HELLO_S", 0.1)
    async with service.client.ws_connect("/stream") as ws:
        assert await Client(ws).closed() == (1002, "no hello within 0.1 s")
    monkeypatch.setattr(stream_socket, "HELLO_S", 10.0)
    monkeypatch.setattr(stream_socket, "IDLE_S", 0.2)
    async with talking(service) as client:
        await client.say("a", HELLO, credit_samples=1_000)
        for _ in range(3):  # words are owed: it is not idle
            await client.next()
        await asyncio.sleep(0.5)
        await client.send("cancel", id="a")
        assert last(await client.all())["cancelled"] is True
        assert await client.closed() == (1000, "nothing was said for 0.2 s")


async def test_too_many_sockets_are_told_to_come_again(
    start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "MAX_SOCKETS", 1)
    service = await start(engine_url=engine.url)
    async with talking(service):
        async with service.client.ws_connect("/stream") as second:
            assert await Client(second).closed() == (1013, "1 sockets are open")
    async with talking(service) as client:
        assert client.hello["protocol"] == 1


async def test_who_answers_no_ping_is_gone(start: Start, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "WS_PING_S", 0.2)
    service = await start(engine_url=engine.url)
    async with talking(service, autoping=False) as client:
        await client.say("a", LONG, credit_samples=0)
        await until(lambda: engine.active == 1)
        while (await client.ws.receive(timeout=10)).type is not aiohttp.WSMsgType.PING:
            pass
        assert (await client.closed())[0] == 1011
    await until(lambda: engine.active == 0)


async def test_a_service_that_stops_says_so(engine: Engine) -> None:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running(settings_for_test(engine_url=engine.url)))
        client = await stack.enter_async_context(talking(service))
        await client.say("a", LONG, credit_samples=0)
        await until(lambda: engine.active == 1)
        closed = asyncio.create_task(client.closed())
        service.stop()
        assert (await closed)[0] == 1012
        await until(lambda: engine.active == 0)
