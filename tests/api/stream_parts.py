"""A client of WS /stream for tests: it says, and hears all that comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from http_parts import Service

from tts_plugin.protocol import Audio
from tts_plugin.wire import decode_audio

HELLO = "Hello, this is a short sentence."


LONG = "The library opens at nine in the morning on weekdays. " * 60


class Client:
    """A socket of the service, after its hello."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.hello: dict[str, Any] = {}

    async def send(self, kind: str, **fields: Any) -> None:
        await self.ws.send_str(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any] | Audio:
        message = await self.ws.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.BINARY:
            return decode_audio(message.data)
        assert message.type is aiohttp.WSMsgType.TEXT, (message.type, message.data, message.extra)
        told: dict[str, Any] = json.loads(message.data)
        return told

    async def say(self, id: str, text: str, *, end: bool = True, klass: str | None = None, **fields: Any) -> None:
        if klass is not None:
            fields["class"] = klass
        await self.send("say", id=id, pace="fast", **fields)
        await self.send("text", id=id, text=text)
        if end:
            await self.send("end", id=id)

    async def all(self) -> list[dict[str, Any] | Audio]:
        """Up to and with the next done or failed."""
        heard = [await self.next()]
        while isinstance(heard[-1], Audio) or heard[-1]["type"] not in ("done", "failed"):
            heard.append(await self.next())
        return heard

    async def closed(self) -> tuple[int | None, str]:
        """The code and the reason with which the service closed, whatever came before."""
        while (message := await self.ws.receive(timeout=10)).type is not aiohttp.WSMsgType.CLOSE:
            assert message.type is not aiohttp.WSMsgType.CLOSED, self.ws.close_code
        return message.data, str(message.extra)


@asynccontextmanager
async def talking(service: Service, **options: Any) -> AsyncIterator[Client]:
    async with service.client.ws_connect("/stream", **options) as ws:
        client = Client(ws)
        await client.send("hello", protocol=1)
        hello = await client.next()
        assert isinstance(hello, dict)
        client.hello = hello
        yield client


def sound(heard: list[dict[str, Any] | Audio]) -> bytes:
    pieces = [item for item in heard if isinstance(item, Audio)]
    ends = [piece.offset + piece.samples for piece in pieces]
    assert [piece.offset for piece in pieces] == [0, *ends[:-1]]
    return b"".join(piece.pcm for piece in pieces)


def last(heard: list[dict[str, Any] | Audio]) -> dict[str, Any]:
    assert isinstance(heard[-1], dict)
    return heard[-1]


def frame(payload: bytes, *, opcode: int = 1, final: bool = True) -> bytes:
    """A client's frame, its mask all zeros."""
    head = bytes([opcode | (0x80 if final else 0)])
    if len(payload) < 126:
        return head + bytes([0x80 | len(payload)]) + bytes(4) + payload
    return head + bytes([0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def raw(client: Client) -> asyncio.Transport:
    """What lies under the socket: its client sends no wrong frames."""
    transport = client.ws._response.connection.transport  # type: ignore[union-attr]
    assert isinstance(transport, asyncio.Transport)
    return transport
