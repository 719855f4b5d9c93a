"""For tests of a turn: a listener that keeps time and measures silence, and a language model's server with faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from livekit import rtc
from livekit.agents.voice import io

AUDIBLE = 0.01


class Listener(io.AudioOutput):
    """Plays in real time to somebody who notes when there is sound."""

    def __init__(self) -> None:
        super().__init__(label="listener", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=24_000)
        self.heard: list[tuple[float, float]] = []  # from, until: monotonic seconds
        self._began = self._pushed_s = 0.0
        self._play_at = 0.0
        self._end: asyncio.TimerHandle | None = None

    def silences(self, since: float, until: float) -> list[float]:
        """How long nothing was heard, each time, between two moments."""
        gaps, at = [], since
        for start, end in sorted(self.heard):
            if end <= since or start >= until:
                continue
            gaps.append(start - at)
            at = max(at, end)
        return [gap for gap in [*gaps, until - at] if gap > 0.05]

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        now = time.monotonic()
        if not self._pushed_s:
            self._began = self._play_at = now
            self.on_playback_started(created_at=time.time())
        self._play_at = max(self._play_at, now)
        samples = np.frombuffer(frame.data, np.int16) / 32768
        if float(np.sqrt(np.mean(samples**2))) > AUDIBLE:
            self.heard.append((self._play_at, self._play_at + frame.duration))
        self._play_at += frame.duration
        self._pushed_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._pushed_s:
            left_s = self._play_at - time.monotonic()
            self._end = asyncio.get_running_loop().call_later(max(0.0, left_s), self._finish, False)

    def clear_buffer(self) -> None:
        if self._pushed_s:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
        now = time.monotonic()
        self.heard = [(start, min(end, now)) for start, end in self.heard if start < now]
        position_s, self._pushed_s = min(now - self._began, self._pushed_s), 0.0
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
ANSWER = "The museum opens at nine in the morning."
FAULTS = (
    "stall_before",
    "stall_in_the_middle",
    "drip",
    "slow",
    "status_500",
    "reset",
    "garbage",
    "status_429",
    "empty",
)


def event(text: str) -> bytes:
    """One streamed delta."""
    return chunk({"role": "assistant", "content": text})


def chunk(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@dataclass(slots=True)
class FaultyLlm:
    """A server that answers the next requests with the faults of `script`, and then with ANSWER."""

    url: str = ""
    script: list[str] = field(default_factory=list)
    always: str = ""  # a fault that does not pass
    asked: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"POST"):  # a client that opens a connection ahead of need
                    return
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.asked += 1
                await self._answer(self.always or (self.script.pop(0) if self.script else ""), writer)
        finally:
            writer.close()

    async def _answer(self, fault: str, writer: asyncio.StreamWriter) -> None:
        if fault == "stall_before":
            await asyncio.sleep(60)
        elif fault == "reset":
            writer.transport.abort()
        elif fault.startswith("status_"):
            body = b'{"error": {"message": "no"}}'
            lines = f"HTTP/1.1 {fault[7:]} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(lines.encode() + body)
        elif fault == "drip":
            writer.write(HEAD)
            await self._slowly(writer, [bytes([byte]) for byte in event("Hello")], 1.0)
        elif fault == "slow":
            writer.write(HEAD)
            await self._slowly(writer, [event(letter) for letter in ANSWER], 1.0)
        elif fault == "garbage":
            writer.write(HEAD + b"data: {not json\n\n")
        elif fault == "empty":
            writer.write(HEAD + b"data: [DONE]\n\n")
        elif fault == "tool":
            call = {"index": 0, "id": "c1", "type": "function"}
            call["function"] = {"name": "look_up", "arguments": '{"name": "museum"}'}
            writer.write(HEAD + chunk({"role": "assistant", "tool_calls": [call]}) + chunk({}, "tool_calls"))
            writer.write(b"data: [DONE]\n\n")
        elif fault == "stall_in_the_middle":
            writer.write(HEAD + event("The museum opens at nine, ") + event("and then "))
            await asyncio.sleep(60)
        else:
            writer.write(HEAD)
            await self._slowly(writer, [event(f"{word} ") for word in ANSWER.split()], 0.02)
            writer.write(b"data: [DONE]\n\n")
        await writer.drain()

    async def _slowly(self, writer: asyncio.StreamWriter, pieces: list[bytes], every_s: float) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)


@asynccontextmanager
async def faulty_llm(*script: str, always: str = "") -> AsyncIterator[FaultyLlm]:
    llm = FaultyLlm(script=list(script), always=always)
    serving: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(llm.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    llm.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield llm
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
