"""The protocol as a foreign client sees it: raw messages over a raw WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.protocol import MAX_MESSAGE_BYTES
from tts_plugin.stream import MAX_BAD_MESSAGES, MAX_UTTERANCES
from tts_plugin.wire import decode_audio


class Caller:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: object) -> None:
        await self.socket.send_str(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """The next text message."""
        async with asyncio.timeout(10):
            while True:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    answer: dict[str, Any] = json.loads(message.data)
                    return answer
                assert message.type is aiohttp.WSMsgType.BINARY, message

    async def receive_until(self, kind: str) -> dict[str, Any]:
        while (message := await self.receive())["type"] != kind:
            pass
        return message

    async def close_code(self) -> int | None:
        async with asyncio.timeout(10):
            while (await self.socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                pass
        return self.socket.close_code


@pytest.fixture
async def bare(server_url: str) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server_url}/stream") as socket:
        yield Caller(socket)


@pytest.fixture
async def caller(bare: Caller) -> Caller:
    await bare.send(type="hello", protocol=1)
    assert (await bare.receive())["type"] == "hello"
    return bare


async def test_hello_is_answered_with_engine_and_voices(bare: Caller) -> None:
    await bare.send(type="hello", protocol=1)
    hello = await bare.receive()
    assert (hello["protocol"], hello["engine"]) == (1, "embedded")
    assert "heart" in hello["voices"]


async def test_the_order_of_one_utterance(caller: Caller) -> None:
    await caller.send(type="say", id="a")
    await caller.send(type="text", id="a", text="Hello.")
    await caller.send(type="end", id="a")
    seen = []
    async with asyncio.timeout(10):
        async for message in caller.socket:
            binary = message.type is aiohttp.WSMsgType.BINARY
            kind = "audio" if binary else json.loads(message.data)["type"]
            if not seen or seen[-1] != kind:
                seen.append(kind)
            if binary:
                assert decode_audio(message.data).id == "a"
            if kind == "done":
                break
    assert seen == ["started", "words", "audio", "done"]


@pytest.mark.parametrize(
    "raw",
    [
        "no json",
        "[]",
        "{}",
        '{"type":"shout","id":"a"}',
        '{"type":"say"}',
        '{"type":"say","id":7}',
        '{"type":"say","id":""}',
        '{"type":"say","id":"a","voice":null}',
        '{"type":"say","id":"a","class":"king"}',
        '{"type":"say","id":"a","more":1}',
        '{"type":"say","id":"\\ud800"}',
        '{"type":"text","id":"nobody","text":"x"}',
        '{"type":"credit","id":"nobody","samples":-1}',
        b"\x00\x01",
    ],
)
async def test_a_bad_message_is_answered_and_the_socket_stays(caller: Caller, raw: str | bytes) -> None:
    if isinstance(raw, bytes):
        await caller.socket.send_bytes(raw)
    else:
        await caller.socket.send_str(raw)
    failed = await caller.receive()
    assert (failed["type"], failed["code"]) == ("failed", "bad_message")
    await caller.send(type="say", id="fine")
    assert (await caller.receive())["type"] == "started"


async def test_a_second_say_with_the_same_id_does_not_end_the_first(caller: Caller) -> None:
    await caller.send(type="say", id="a")
    await caller.send(type="say", id="a")
    failed = await caller.receive_until("failed")
    assert failed["id"] == ""
    await caller.send(type="text", id="a", text="Hello.")
    await caller.send(type="end", id="a")
    assert (await caller.receive_until("done"))["id"] == "a"


async def test_messages_for_an_utterance_that_has_ended_are_no_mistake(caller: Caller) -> None:
    await caller.send(type="say", id="a")
    await caller.send(type="cancel", id="a")
    assert (await caller.receive_until("done"))["cancelled"] is True
    await caller.send(type="credit", id="a", samples=10)
    await caller.send(type="say", id="b")
    assert (await caller.receive())["type"] == "started"


async def test_too_many_bad_messages_close_the_socket(caller: Caller) -> None:
    for _ in range(MAX_BAD_MESSAGES + 1):
        await caller.socket.send_str("{}")
    assert await caller.close_code() == 1008


async def test_something_else_than_hello_first_closes_the_socket(bare: Caller) -> None:
    await bare.send(type="say", id="a")
    assert await bare.close_code() == 1002


async def test_another_protocol_version_closes_the_socket(bare: Caller) -> None:
    await bare.send(type="hello", protocol=2)
    assert await bare.close_code() == 1002


async def test_a_message_that_is_too_large_closes_the_socket(caller: Caller) -> None:
    await caller.socket.send_str(" " * (MAX_MESSAGE_BYTES + 1))
    assert await caller.close_code() == 1009


async def test_one_socket_carries_a_bounded_number_of_utterances(make_backend: Any, serve: Any) -> None:
    with serve(make_backend(max_batch_size=MAX_UTTERANCES + 1)) as url:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/stream") as socket:
            caller = Caller(socket)
            await caller.send(type="hello", protocol=1)
            for n in range(MAX_UTTERANCES + 1):
                await caller.send(type="say", id=f"u{n}")
            failed = await caller.receive_until("failed")
            assert (failed["id"], failed["code"]) == (f"u{MAX_UTTERANCES}", "at_capacity")


async def test_when_the_socket_closes_its_utterances_are_cancelled(caller: Caller, backend: EmbeddedBackend) -> None:
    await caller.send(type="say", id="a")
    await caller.send(type="text", id="a", text="Hello there, my dear friend, ")
    await caller.receive_until("started")
    await caller.socket.close()
    async with asyncio.timeout(2):
        while backend.statistics().active:
            await asyncio.sleep(0.005)
    assert backend.statistics().cancelled_total == 1


async def test_a_socket_too_many_is_told_to_try_again_later(
    backend: EmbeddedBackend, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tts_plugin.server.MAX_SOCKETS", 1)
    with serve(backend) as url:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/stream") as first:
            await first.send_str(json.dumps({"type": "hello", "protocol": 1}))
            await first.receive()
            async with session.ws_connect(f"{url}/stream") as second:
                assert (await asyncio.wait_for(second.receive(), 10)).type is aiohttp.WSMsgType.CLOSE
                assert second.close_code == 1013
            await first.ping()
            assert not first.closed
