"""WS /stream: the engine protocol for whoever has a key. Text goes up as it comes, sound comes down as it is made.

Every utterance is one of the engine client that all routes share, so a lost engine ends the utterances, not the socket.
No client speaks as a call, and each `say` counts as a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from tts_plugin.client import EngineClient, EngineUnreachable
from tts_plugin.protocol import (
    PROTOCOL_VERSION,
    Audio,
    Down,
    Failed,
    Hello,
    ProtocolError,
    Say,
    Up,
)
from tts_plugin.wire import decode_up, encode, encode_audio
from worker.api.gate import PROTOCOL
from worker.api.limits import Rate, by_address, by_asker
from worker.api.metrics import HttpMetrics
from worker.api.relayed import Relayed, unreachable
from worker.settings import Settings

MAX_SOCKETS = 128  # half of all connections
MAX_UTTERANCES = 16  # of one socket, at once
MAX_BAD_MESSAGES = 20
HELLO_S = 10.0
IDLE_S = 60.0  # without a message while nothing is being said
_REMEMBERED_IDS = 256  # whose late messages are no mistake

NORMAL, PROTOCOL_ERROR, POLICY, TRY_AGAIN_LATER = 1000, 1002, 1008, 1013

logger = logging.getLogger(__name__)


def routes(settings: Settings, engine: EngineClient, rate: Rate, metrics: HttpMetrics) -> APIRouter:
    router = APIRouter()
    desk = Desk(settings, engine, rate, metrics)

    @router.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        await desk.serve(socket)

    return router


class Desk:
    """What all sockets share: the engine, how many there are, and who says how much at once."""

    def __init__(self, settings: Settings, engine: EngineClient, rate: Rate, metrics: HttpMetrics) -> None:
        self.engine = engine
        self.metrics = metrics
        self.voice = settings.tts_voice
        self._rate = rate
        self._most = settings.requests_at_once
        self._address = by_address(settings)
        self._sockets = 0
        self._saying: Counter[str] = Counter()

    async def serve(self, socket: WebSocket) -> None:
        """Until the client has gone, or is sent away."""
        spoken = PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None
        await socket.accept(spoken, headers=[(b"x-ai-generated", b"true")])
        if self._sockets >= MAX_SOCKETS:
            await socket.close(TRY_AGAIN_LATER, f"{MAX_SOCKETS} sockets are open")
            return
        self._sockets += 1
        try:
            with self.metrics.streams.track_inprogress():
                await StreamSocket(socket, self).serve()
        finally:
            self._sockets -= 1

    async def admit(self, socket: WebSocket, say: Say) -> Failed | Callable[[], None]:
        """Why this may not be said now; or what is to be called when it has been said."""
        names = [name for name in (self._address(socket.scope), by_asker(socket.scope)) if name]
        if any(self._saying[name] >= self._most for name in names):
            return _full(say.id, f"{self._most} utterances at once are allowed", 1.0)
        for name in names:
            if wait_s := await self._rate.take(name):
                return _full(say.id, "that is too many utterances a minute", wait_s)
        self._saying.update(names)
        return lambda: self._free(names)

    def _free(self, names: list[str]) -> None:
        self._saying.subtract(names)
        for name in names:
            if self._saying[name] <= 0:
                del self._saying[name]


class StreamSocket:
    """One client, from hello to goodbye."""

    def __init__(self, socket: WebSocket, desk: Desk) -> None:
        self._socket = socket
        self._desk = desk
        self._open: dict[str, Relayed] = {}  # bounded by MAX_UTTERANCES
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._bad_messages = 0

    async def serve(self) -> None:
        try:
            code, reason = await self._read()
            with contextlib.suppress(RuntimeError):  # it was closed from the other side meanwhile
                await self._socket.close(code, reason)
        except WebSocketDisconnect:
            pass
        finally:
            for relayed in self._open.values():
                relayed.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> tuple[int, str]:
        """Until the client is to be sent away: the code and the reason. WebSocketDisconnect when it goes by itself."""
        if refusal := await self._greet():
            return refusal
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    message = decode_up(await self._receive())
                await self._handle(message)
            except TimeoutError:
                if not self._open:
                    return NORMAL, f"nothing was said for {IDLE_S:g} s"
            except ProtocolError as error:
                await self._bad("", str(error))
            if self._bad_messages > MAX_BAD_MESSAGES:
                return POLICY, f"more than {MAX_BAD_MESSAGES} bad messages"
            await asyncio.sleep(0)  # whoever floods us lets others come between

    async def _greet(self) -> tuple[int, str] | None:
        try:
            async with asyncio.timeout(HELLO_S):
                message = decode_up(await self._receive())
            await self._desk.engine.connect()
        except TimeoutError:
            return PROTOCOL_ERROR, f"no hello within {HELLO_S:g} s"
        except ProtocolError:
            message = Hello(protocol=0)
        except EngineUnreachable:
            return TRY_AGAIN_LATER, "the voice engine does not answer"
        if not isinstance(message, Hello) or message.protocol != PROTOCOL_VERSION:
            return PROTOCOL_ERROR, f"the first message must be hello, protocol {PROTOCOL_VERSION}"
        await self._hello()
        return None

    async def _hello(self) -> None:
        engine = self._desk.engine
        await self._send(Hello(PROTOCOL_VERSION, engine.voice_names, engine.engine))

    async def _receive(self) -> str:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if not isinstance(text, str):
            raise ProtocolError("a binary message was given; only text messages are allowed")
        return text

    async def _handle(self, message: Up) -> None:
        if isinstance(message, Hello):
            await self._hello()
        elif isinstance(message, Say):
            await self._say(message)
        elif message.id in self._open:
            self._open[message.id].tell(message)
        elif message.id not in self._over:
            await self._bad(message.id, f"no utterance has the id {message.id!r}")

    async def _say(self, say: Say) -> None:
        if wrong := self._wrong(say):
            await self._bad("", wrong)
            return
        if len(self._open) >= MAX_UTTERANCES:
            await self._refuse(_full(say.id, f"a socket carries {MAX_UTTERANCES} utterances at once", 1.0))
            return
        admitted = await self._desk.admit(self._socket, say)
        if isinstance(admitted, Failed):
            await self._refuse(admitted)
            return
        try:
            utterance = await self._desk.engine.say(
                voice=self._desk.voice if say.voice == "default" else say.voice,
                klass="file" if say.klass == "file" else "interactive",
                pace=say.pace,
                seed=say.seed,
                language=say.language,
                traceparent=say.traceparent,
            )
        except EngineUnreachable:
            admitted()
            await self._refuse(unreachable(say.id))
            return
        self._open[say.id] = relayed = Relayed(say, utterance, self._send)
        task = asyncio.create_task(self._run(say.id, relayed, admitted), name="stream-utterance")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wrong(self, say: Say) -> str | None:
        if not say.id or say.id in self._open or say.id in self._over:
            return f"say.id is {say.id!r}; it must be new and not empty"
        if say.seed is not None and not 0 <= say.seed < 2**63:
            return "say.seed is out of range; allowed: 0 to 2^63 - 1"
        if say.credit_samples is not None and say.credit_samples < 0:
            return f"say.credit_samples is {say.credit_samples}; it cannot be negative"
        return None

    async def _run(self, id: str, relayed: Relayed, release: Callable[[], None]) -> None:
        result = "client_gone"
        try:
            last = await relayed.run()
            result = last.code if isinstance(last, Failed) else "cancelled" if last.cancelled else "done"
        except WebSocketDisconnect:  # the reader hears of it too
            logger.debug("a client went before the end of an utterance")
        finally:
            self._desk.metrics.stream_utterances.labels(result).inc()
            release()
            self._open.pop(id, None)
            self._over.append(id)

    async def _refuse(self, failed: Failed) -> None:
        self._over.append(failed.id)  # its text may be on its way
        self._desk.metrics.stream_utterances.labels(failed.code).inc()
        await self._send(failed)

    async def _bad(self, id: str, reason: str) -> None:
        self._bad_messages += 1
        await self._send(Failed(id, "bad_message", reason))

    async def _send(self, message: Down | Audio) -> None:
        """Waits while the client reads slowly; the guard of the connection ends that."""
        try:
            if isinstance(message, Audio):
                await self._socket.send_bytes(encode_audio(message))
            else:
                await self._socket.send_text(encode(message))
        except RuntimeError:  # starlette's word for a socket that is closed
            raise WebSocketDisconnect(1006) from None


def _full(id: str, why: str, retry_after_s: float) -> Failed:
    return replace(Failed(id, "at_capacity", why, retryable=True), retry_after_s=retry_after_s)
