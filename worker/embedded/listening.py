"""WS /transcribe: one socket per call, the audio of one segment of speech at a time. Where a segment begins and ends
is the caller's affair (worker/stt.py); nothing here listens for silence.

Up, JSON text and binary:
    {"type": "start"}                     a new segment: the audio of the one before is forgotten
    binary                                pcm_s16le, 16 kHz, mono, of this segment
    {"type": "partial", "id": n}          what has been said so far? Dropped without an answer when there is no room
    {"type": "preflight", "id": n}        the same, at once: silence began. Gives way to a newer one of its segment
    {"type": "final", "id": n}            the same, always answered
Down:
    {"type": "ready"}                     once, after the socket opened
    {"type": "partial" | "preflight" | "final", "id": n, "text": "...", "audio_s": s, "compute_s": s}
    {"type": "error", "message": "..."}   then the socket is closed with code 1008
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import dataclass
from typing import Literal, cast, get_args

from fastapi import WebSocket, WebSocketDisconnect

from worker.embedded.moonshine import SAMPLE_RATE_HZ
from worker.embedded.recogniser import Heard, Recogniser

MAX_SEGMENT_S = 30
MAX_WAITING = 8
BYTES_PER_S = SAMPLE_RATE_HZ * 2
SEND_TIMEOUT_S = 5.0
BAD_MESSAGE, BUSY = 1008, 1013

Kind = Literal["partial", "preflight", "final"]

log = logging.getLogger(__name__)


class BadMessage(ValueError):
    """A message that is not in the protocol: says what was given and what is allowed."""


@dataclass(frozen=True, slots=True)
class _Ask:
    kind: Kind
    id: int
    segment: int
    pcm: bytes


class Listening:
    """One call's ear. `serve` returns when the caller has gone."""

    def __init__(self, socket: WebSocket, recogniser: Recogniser) -> None:
        self._socket = socket
        self._recogniser = recogniser
        self._segment = 0
        self._pcm = bytearray()
        self._draft: tuple[int, ...] = ()
        self._waiting: asyncio.Queue[_Ask] = asyncio.Queue(MAX_WAITING)
        self._newest = (0, 0)  # segment and id of the newest preflight or final
        self._glance: asyncio.Task[None] | None = None
        self._abandoned = threading.Event()

    async def serve(self) -> None:
        await self._send({"type": "ready"})
        answering = asyncio.create_task(self._answer(), name="transcribe-answer")
        reading = asyncio.create_task(self._read(), name="transcribe-read")
        try:
            await asyncio.wait((answering, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._abandoned.set()
            tasks = [t for t in (answering, reading, self._glance) if t]
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        await self._say_why(next((r for r in results if isinstance(r, Exception)), None))

    async def _say_why(self, error: Exception | None) -> None:
        if error is None or isinstance(error, WebSocketDisconnect):
            return
        try:
            if isinstance(error, BadMessage):
                await self._send({"type": "error", "message": str(error)})
                await self._socket.close(BAD_MESSAGE)
            else:
                log.error("a call's recognition failed", exc_info=error)
                await self._socket.close(1011)
        except (RuntimeError, TimeoutError, WebSocketDisconnect):  # the caller has gone
            log.debug("the reason could not be sent")

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            if (pcm := message.get("bytes")) is not None:
                self._take_audio(pcm)
            else:
                self._take_text(message.get("text") or "")

    def _take_audio(self, pcm: bytes) -> None:
        if len(pcm) % 2:
            raise BadMessage(f"an audio message has {len(pcm)} bytes; pcm_s16le has an even number")
        if len(self._pcm) + len(pcm) > MAX_SEGMENT_S * BYTES_PER_S:
            raise BadMessage(f"the segment is longer than {MAX_SEGMENT_S} s")
        self._pcm += pcm

    def _take_text(self, raw: str) -> None:
        kind, number = _parse(raw)
        if kind == "start":
            self._segment += 1
            self._pcm.clear()
            self._draft = ()
            return
        ask = _Ask(cast(Kind, kind), number, self._segment, bytes(self._pcm))
        if kind == "partial":
            self._look(ask)
            return
        self._abandoned.set()
        self._newest = (self._segment, number)
        if self._waiting.full():
            raise BadMessage(f"more than {MAX_WAITING} questions wait for an answer")
        self._waiting.put_nowait(ask)

    def _look(self, ask: _Ask) -> None:
        if self._waiting.qsize() or (self._glance and not self._glance.done()):
            return
        self._abandoned = threading.Event()
        self._glance = asyncio.create_task(self._answer_partial(ask, self._abandoned), name="transcribe-partial")

    async def _answer_partial(self, ask: _Ask, abandoned: threading.Event) -> None:
        heard = await self._recogniser.glance(ask.pcm, self._draft, abandoned)
        if heard and not abandoned.is_set() and ask.segment == self._segment:
            await self._tell(ask, heard)

    async def _answer(self) -> None:
        while True:
            ask = await self._waiting.get()
            segment, newest = self._newest
            if ask.kind == "preflight" and ask.segment == segment and ask.id != newest:
                continue
            draft = self._draft if ask.segment == self._segment else ()
            await self._tell(ask, await self._recogniser.hear(ask.pcm, draft))

    async def _tell(self, ask: _Ask, heard: Heard) -> None:
        if ask.segment == self._segment:
            self._draft = heard.tokens
        times = {"audio_s": round(len(ask.pcm) / BYTES_PER_S, 3), "compute_s": round(heard.compute_s, 4)}
        await self._send({"type": ask.kind, "id": ask.id, "text": heard.text, **times})

    async def _send(self, message: dict[str, object]) -> None:
        await asyncio.wait_for(self._socket.send_text(json.dumps(message, ensure_ascii=False)), SEND_TIMEOUT_S)


def _parse(raw: str) -> tuple[str, int]:
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadMessage("a text message is not JSON") from None
    kind = message.get("type") if isinstance(message, dict) else None
    if kind == "start":
        return "start", 0
    if not isinstance(kind, str) or kind not in get_args(Kind):
        raise BadMessage(f"type {kind!r:.40} is unknown; allowed: start, {', '.join(get_args(Kind))}")
    number = message.get("id")
    if type(number) is not int:
        raise BadMessage(f"{kind}.id is {number!r:.40}; a whole number is needed")
    return kind, number
