"""WS /transcribe as its docstring says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

SENTENCE = "I would like to book a table for tomorrow evening."
OTHER = "The parcel has not arrived yet and I am getting worried."
DEADLINE_S = 20


class Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: dict[str, Any] | bytes) -> None:
        if isinstance(message, bytes):
            for start in range(0, len(message), 32_000):
                await self._socket.send_bytes(message[start : start + 32_000])
        else:
            await self._socket.send_str(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        return json.loads(await self._socket.receive_str(timeout=DEADLINE_S))

    async def close_code(self) -> int | None:
        await self._socket.receive(timeout=DEADLINE_S)
        return self._socket.close_code


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Socket]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/transcribe") as raw:
        socket = Socket(raw)
        assert await socket.receive() == {"type": "ready"}
        yield socket


async def test_a_final_of_the_same_audio_has_the_words_of_its_preflight(
    models_url: str, speak: Callable[[str], bytes]
) -> None:
    async with connected(models_url) as socket:
        await socket.send({"type": "start"})
        await socket.send(speak(SENTENCE))
        await socket.send({"type": "preflight", "id": 1})
        preflight = await socket.receive()
        await socket.send({"type": "final", "id": 2})
        final = await socket.receive()
    assert (preflight["type"], preflight["id"]) == ("preflight", 1)
    assert (final["type"], final["id"]) == ("final", 2)
    assert "table" in preflight["text"]
    assert final["text"] == preflight["text"]


async def test_a_partial_tells_the_words_so_far(models_url: str, speak: Callable[[str], bytes]) -> None:
    spoken = speak(SENTENCE)
    async with connected(models_url) as socket:
        await socket.send({"type": "start"})
        await socket.send(spoken[: len(spoken) // 4 * 2])
        await socket.send({"type": "partial", "id": 1})
        partial = await socket.receive()
        await socket.send(spoken[len(spoken) // 4 * 2 :])
        await socket.send({"type": "final", "id": 2})
        final = await socket.receive()
    assert partial["type"] == "partial"
    assert len(partial["text"]) < len(final["text"])
    assert "evening" in final["text"]


async def test_start_forgets_the_segment_before(models_url: str, speak: Callable[[str], bytes]) -> None:
    async with connected(models_url) as socket:
        for number, sentence in enumerate((SENTENCE, OTHER)):
            await socket.send({"type": "start"})
            await socket.send(speak(sentence))
            await socket.send({"type": "final", "id": number})
        first, second = await socket.receive(), await socket.receive()
    assert "table" in first["text"]
    assert "table" not in second["text"]
    assert "parcel" in second["text"]


async def test_sockets_at_once_each_get_their_own_words(models_url: str, speak: Callable[[str], bytes]) -> None:
    async def ask(sentence: str) -> str:
        async with connected(models_url) as socket:
            await socket.send({"type": "start"})
            await socket.send(speak(sentence))
            await socket.send({"type": "final", "id": 1})
            return str((await socket.receive())["text"])

    first, second, third = await asyncio.gather(ask(SENTENCE), ask(OTHER), ask(SENTENCE))
    assert "table" in first
    assert "parcel" in second
    assert third == first


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"type": "sing"}, "allowed: start, partial"),
        ({"type": "final"}, "a whole number is needed"),
        ({"type": "final", "id": True}, "a whole number is needed"),
        ([], "unknown"),
        (b"123", "even number"),
    ],
)
async def test_a_wrong_message_is_named_and_ends_the_socket(models_url: str, message: Any, says: str) -> None:
    async with connected(models_url) as socket:
        await socket.send(message)
        answer = await socket.receive()
        assert answer["type"] == "error"
        assert says in answer["message"]
        assert await socket.close_code() == 1008


async def test_a_segment_without_end_is_refused(models_url: str) -> None:
    async with connected(models_url) as socket:
        await socket.send({"type": "start"})
        await socket.send(bytes(31 * 32_000))
        assert "longer than 30 s" in (await socket.receive())["message"]
