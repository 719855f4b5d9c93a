"""The two ways of a client to sound: POST /synthesize with stream, and WS /stream with text fed word by word."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Protocol

import aiohttp

from tts_plugin.protocol import Audio, Done, End, Failed, Hello, ProtocolError, Say, Started, Text
from tts_plugin.wire import decode_audio, decode_down, encode
from worker.load.spoken import Spoken

TIMEOUT_S = 60.0


class Client(Protocol):
    async def say(self, text: str, due_at: float, spoken: Spoken) -> None:
        """Fills `spoken`. `due_at` is of time.monotonic(). Whatever goes wrong becomes `spoken.outcome`."""
        ...


class HttpClient:
    def __init__(self, session: aiohttp.ClientSession, url: str, voice: str | None) -> None:
        self._session, self._url = session, f"{url}/synthesize"
        self._asked: Mapping[str, object] = {
            "output_format": "pcm",
            "sample_rate": 24_000,
            "stream": True,
            **({"voice_id": voice} if voice else {}),
        }

    async def say(self, text: str, due_at: float, spoken: Spoken) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async with self._session.post(self._url, json={**self._asked, "text": text}) as answer:
                    if answer.status != 200:
                        spoken.outcome = await _code(answer)
                        spoken.ended_s = time.monotonic() - due_at
                        return
                    await _read(answer, due_at, spoken)
        except TimeoutError:
            spoken.outcome = "client_timeout"
        except (aiohttp.ClientError, OSError) as error:
            spoken.outcome = type(error).__name__
        spoken.ended_s = time.monotonic() - due_at


class SocketClient:
    """A socket for each utterance, as a new client has it; the text goes up word by word without a pause."""

    def __init__(self, session: aiohttp.ClientSession, url: str, voice: str | None) -> None:
        self._session, self._url, self._voice = session, f"{url}/stream", voice

    async def say(self, text: str, due_at: float, spoken: Spoken) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async with self._session.ws_connect(self._url, max_msg_size=0) as socket:
                    await socket.send_str(encode(Hello()))
                    await socket.send_str(encode(Say("1", voice=self._voice or "default", klass="interactive")))
                    for word in text.split(" "):
                        await socket.send_str(encode(Text("1", f"{word} ")))
                    await socket.send_str(encode(End("1")))
                    await _listen(socket, due_at, spoken)
        except TimeoutError:
            spoken.outcome = "client_timeout"
        except aiohttp.WSServerHandshakeError as error:
            spoken.outcome = f"http_{error.status}"
        except (aiohttp.ClientError, OSError, ProtocolError) as error:
            spoken.outcome = type(error).__name__
        spoken.ended_s = time.monotonic() - due_at


async def _read(answer: aiohttp.ClientResponse, due_at: float, spoken: Spoken) -> None:
    odd = b""
    async for piece, _ in answer.content.iter_chunks():
        whole = odd + piece
        cut = len(whole) & ~1
        odd = whole[cut:]
        if cut:
            spoken.take(whole[:cut], time.monotonic() - due_at)
    if spoken.samples == 0:
        spoken.outcome = "no_sound"


async def _listen(socket: aiohttp.ClientWebSocketResponse, due_at: float, spoken: Spoken) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            audio: Audio = decode_audio(message.data)
            spoken.take(audio.pcm, time.monotonic() - due_at)
            continue
        told = decode_down(message.data)
        if isinstance(told, Started):
            spoken.rate_hz = told.sample_rate_hz
        elif isinstance(told, Failed):
            spoken.outcome = told.code
            return
        elif isinstance(told, Done):
            return
    spoken.outcome = "at_capacity" if socket.close_code == 1013 else f"closed_{socket.close_code}"


async def _code(answer: aiohttp.ClientResponse) -> str:
    try:
        return str(json.loads(await answer.read())["code"])
    except (ValueError, KeyError, TypeError):
        return f"http_{answer.status}"
