"""One client's WebSocket on /stream: many utterances, each admitted or refused, fed, paused, cancelled by its id.

Speaks the protocol of protocol.py for any back-end. When the socket closes, all that is being said on it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from tts_plugin import voices
from tts_plugin.engine.backend import Backend, Event, Refused, Utterance
from tts_plugin.metrics import EngineMetrics
from tts_plugin.protocol import (
    PROTOCOL_VERSION,
    Audio,
    Cancel,
    Credit,
    Done,
    Down,
    End,
    Failed,
    Hello,
    Played,
    ProtocolError,
    Say,
    Text,
    Up,
)
from tts_plugin.wire import decode_up, encode, encode_audio

logger = logging.getLogger(__name__)

MAX_UTTERANCES = 64
MAX_BAD_MESSAGES = 20
_HELLO_S = 10.0
_MAX_OUTBOX_BYTES = 16 * 1024 * 1024  # a client that reads nothing of so much is gone
_REMEMBERED_IDS = 256  # whose late messages are no mistake
_EVENT_BYTES = 200  # roughly, of a text message

_NORMAL = 1000
_POLICY_VIOLATION = 1008
_PROTOCOL_ERROR = 1002


class StreamConnection:
    """Lives in `serve`, which returns when the socket is closed."""

    def __init__(self, socket: WebSocket, backend: Backend, metrics: EngineMetrics) -> None:
        self._socket = socket
        self._backend = backend
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._utterances: dict[str, Utterance] = {}  # bounded by MAX_UTTERANCES
        self._finished: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._bad_messages = 0
        self._outbox: deque[Down | Audio] = deque()  # bounded by _MAX_OUTBOX_BYTES
        self._outbox_bytes = 0
        self._wake = asyncio.Event()
        self._too_slow = asyncio.Event()

    async def serve(self) -> None:
        await self._socket.accept()
        tasks = [
            asyncio.create_task(self._read(), name="stream-read"),
            asyncio.create_task(self._write(), name="stream-write"),
            asyncio.create_task(self._too_slow.wait(), name="stream-too-slow"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for utterance in self._utterances.values():
                utterance.cancel()
            self._utterances.clear()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await self._close(tasks, results)

    async def _close(self, tasks: list[asyncio.Task[Any]], results: list[Any]) -> None:
        for task, result in zip(tasks, results, strict=True):
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                logger.error("%s failed", task.get_name(), exc_info=result)
        code, reason = results[0] if isinstance(results[0], tuple) else (_POLICY_VIOLATION, "you read too slowly")
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):  # the other side was faster
            await self._socket.close(code, reason)

    async def _read(self) -> tuple[int, str]:
        """Until the client leaves, or gives us a reason to close: the code and the reason."""
        try:
            async with asyncio.timeout(_HELLO_S):
                if not await self._hello():
                    return _PROTOCOL_ERROR, f"the first message must be hello, protocol {PROTOCOL_VERSION}"
        except TimeoutError:
            return _PROTOCOL_ERROR, f"no hello within {_HELLO_S:g} s"
        while (raw := await self._receive()) is not None:
            try:
                self._handle(decode_up(raw))
            except ProtocolError as error:
                self._bad("", str(error))
            if self._bad_messages > MAX_BAD_MESSAGES:
                return _POLICY_VIOLATION, f"more than {MAX_BAD_MESSAGES} bad messages"
        return _NORMAL, ""

    async def _hello(self) -> bool:
        raw = await self._receive()
        try:
            message = decode_up(raw or b"")
        except ProtocolError:
            return False
        if not isinstance(message, Hello) or message.protocol != PROTOCOL_VERSION:
            return False
        self._handle(message)
        return True

    async def _receive(self) -> str | bytes | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return text if text is not None else b""

    def _handle(self, message: Up) -> None:
        if isinstance(message, Hello):
            self._put(Hello(PROTOCOL_VERSION, tuple(voices.names(self._backend.voices)), self._backend.name))
        elif isinstance(message, Say):
            self._say(message)
        elif message.id in self._utterances:
            _tell(self._utterances[message.id], message)
        elif message.id not in self._finished:
            self._bad(message.id, f"no utterance has the id {message.id!r}")

    def _say(self, say: Say) -> None:
        if not say.id or say.id in self._utterances:
            self._bad("", f"say.id is {say.id!r}; it must be new and not empty")
            return
        if len(self._utterances) >= MAX_UTTERANCES:
            self._refuse(
                Failed(say.id, "at_capacity", f"a socket carries {MAX_UTTERANCES} utterances at once", True, 0, 1.0)
            )
            return
        try:
            self._utterances[say.id] = self._metrics.admit(say, self._emit)
        except Refused as refused:
            self._refuse(
                Failed(say.id, refused.code, refused.message, refused.retryable, retry_after_s=refused.retry_after_s)
            )

    def _refuse(self, failed: Failed) -> None:
        self._finished.append(failed.id)  # its text is on its way already, and no mistake
        self._put(failed)

    def _bad(self, id: str, reason: str) -> None:
        self._bad_messages += 1
        self._put(Failed(id, "bad_message", reason))

    def _emit(self, event: Event) -> None:
        """From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the socket with it
            self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: Down | Audio) -> None:
        if isinstance(event, Done | Failed) and event.id in self._utterances:
            del self._utterances[event.id]
            self._finished.append(event.id)
        self._outbox.append(event)
        self._outbox_bytes += _size(event)
        if self._outbox_bytes > _MAX_OUTBOX_BYTES:
            self._too_slow.set()
        self._wake.set()

    async def _write(self) -> None:
        while True:
            while self._outbox:
                event = self._outbox.popleft()
                self._outbox_bytes -= _size(event)
                if isinstance(event, Audio):
                    await self._socket.send_bytes(encode_audio(event))
                else:
                    await self._socket.send_text(encode(event))
            self._wake.clear()
            await self._wake.wait()


def _tell(utterance: Utterance, message: Text | End | Cancel | Credit | Played) -> None:
    if isinstance(message, Text):
        utterance.feed(message.text)
    elif isinstance(message, End):
        utterance.end()
    elif isinstance(message, Cancel):
        utterance.cancel()
    elif isinstance(message, Credit):
        utterance.credit(message.samples)
    else:
        utterance.played(message.samples)


def _size(event: Down | Audio) -> int:
    return len(event.pcm) if isinstance(event, Audio) else _EVENT_BYTES
