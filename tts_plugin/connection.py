"""One WebSocket to an engine, shared by many utterances: a task that writes, a task that reads and routes by id.

Knows the protocol's hello; knows nothing of voices or of what is said. When it dies, every open utterance is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections import deque

import aiohttp

from tts_plugin.handle import EngineUnreachable, Utterance
from tts_plugin.protocol import PROTOCOL_VERSION, Down, Failed, Hello, ProtocolError, Text, Up
from tts_plugin.wire import decode_audio, decode_down, encode

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 5.0
_CLOSE_S = 0.5
_MAX_MESSAGE_BYTES = 1024 * 1024
_MAX_UNSENT_MESSAGES = 20_000  # a socket that takes none of these is dead
_MAX_UNSENT_CHARS = 2_000_000


class Connection:
    """Open after `open`; `alive` until the socket dies or `aclose`. Belongs to the loop that opened it."""

    def __init__(self, session: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse, hello: Hello) -> None:
        self.hello = hello
        self._session = session
        self._ws = ws
        self._utterances: dict[str, Utterance] = {}
        self._name = secrets.token_hex(4)  # ids are read in logs and traces of many sockets
        self._ids = itertools.count(1)
        self._unsent: deque[Up] = deque()  # bounded by _MAX_UNSENT_*
        self._unsent_chars = 0
        self._wake = asyncio.Event()
        self._reason: str | None = None
        self._reader = asyncio.create_task(self._read(), name="engine-client-read")
        self._writer = asyncio.create_task(self._write(), name="engine-client-write")

    @classmethod
    async def open(cls, base_url: str, timeout_s: float) -> Connection:
        """Raises EngineUnreachable when the handshake is not done within `timeout_s`."""
        session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(timeout_s):
                ws = await session.ws_connect(
                    f"{base_url}/stream",
                    heartbeat=_HEARTBEAT_S,
                    max_msg_size=_MAX_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                )
                hello = await _shake_hands(ws)
        except BaseException as error:
            await session.close()
            if isinstance(error, TimeoutError):
                raise EngineUnreachable(f"the engine at {base_url} did not answer within {timeout_s:g} s") from None
            if isinstance(error, aiohttp.ClientError | aiohttp.WSMessageTypeError | OSError | ProtocolError):
                raise EngineUnreachable(f"no engine at {base_url}: {error}") from error
            raise
        return cls(session, ws, hello)

    @property
    def alive(self) -> bool:
        return self._reason is None

    def open_utterance(self) -> Utterance:
        utterance = Utterance(f"{self._name}-{next(self._ids)}", self.send, self._leave)
        self._utterances[utterance.id] = utterance
        return utterance

    def send(self, message: Up) -> None:
        """Queue one message; nothing happens when the socket is dead."""
        if not self.alive:
            return
        self._unsent.append(message)
        self._unsent_chars += len(message.text) if isinstance(message, Text) else 0
        if len(self._unsent) > _MAX_UNSENT_MESSAGES or self._unsent_chars > _MAX_UNSENT_CHARS:
            self._die("the engine takes nothing in")
            self._reader.cancel()
        self._wake.set()

    async def aclose(self) -> None:
        """Close the socket and end both tasks; open utterances end with EngineUnreachable."""
        self._die("the client was closed")
        self._reader.cancel()
        self._writer.cancel()
        await asyncio.gather(self._reader, self._writer, return_exceptions=True)
        with contextlib.suppress(TimeoutError):  # a frozen engine neither reads nor says goodbye
            async with asyncio.timeout(_CLOSE_S):
                await self._ws.close()
        await self._session.close()

    def _leave(self, id: str) -> None:
        self._utterances.pop(id, None)

    async def _write(self) -> None:
        try:
            while self.alive:
                while self._unsent:
                    message = self._unsent.popleft()
                    self._unsent_chars -= len(message.text) if isinstance(message, Text) else 0
                    await self._ws.send_str(encode(message))
                self._wake.clear()
                await self._wake.wait()
        except (aiohttp.ClientError, OSError) as error:
            self._die(f"the engine's socket died: {error}")
            self._reader.cancel()

    async def _read(self) -> None:
        try:
            async for message in self._ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    audio = decode_audio(message.data)
                    self._route(audio.id, audio)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    self._take(decode_down(message.data))
        except (aiohttp.ClientError, OSError, ProtocolError) as error:
            self._die(f"the engine's socket died: {error}")
        finally:
            self._die(f"the engine closed the socket (code {self._ws.close_code})")
            self._wake.set()  # the writer ends too

    def _take(self, message: Down) -> None:
        if isinstance(message, Hello):
            for utterance in list(self._utterances.values()):
                utterance.receive(message)
            return
        if isinstance(message, Failed) and not message.id:
            logger.warning("the engine did not understand a message: %s", message.message)
            return
        self._route(message.id, message)

    def _route(self, id: str, message: object) -> None:
        utterance = self._utterances.get(id)
        if utterance is not None:  # else: cancelled here, still on its way there
            utterance.receive(message)  # type: ignore[arg-type]
            if utterance.over:
                self._leave(id)

    def _die(self, reason: str) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        self._unsent.clear()
        for utterance in self._utterances.values():
            utterance.lost(reason)
        self._utterances.clear()


async def _shake_hands(ws: aiohttp.ClientWebSocketResponse) -> Hello:
    await ws.send_str(encode(Hello()))
    answer = decode_down(await ws.receive_str())
    if not isinstance(answer, Hello) or answer.protocol != PROTOCOL_VERSION:
        said = answer.message if isinstance(answer, Failed) else f"it answered {answer.type}"
        raise ProtocolError(f"it does not speak protocol {PROTOCOL_VERSION}: {said}")
    return answer
