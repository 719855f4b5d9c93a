"""An engine that speaks the real protocol over a real socket and misbehaves on order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tts_plugin.protocol import (
    Audio,
    Cancel,
    Done,
    Down,
    End,
    Failed,
    FailureCode,
    Hello,
    Say,
    Started,
    Text,
    Word,
    Words,
)
from tts_plugin.wire import decode_up, encode, encode_audio

SAMPLE_RATE_HZ = 24_000


@dataclass
class Line:
    """One utterance as the engine sees it, with what it needs to answer."""

    say: Say
    ws: web.WebSocketResponse
    request: web.Request
    text: str = ""
    cancelled: bool = False
    failed: bool = False
    sent_samples: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Down) -> None:
        await self.ws.send_str(encode(message))

    async def start(self, sample_rate_hz: int = SAMPLE_RATE_HZ) -> None:
        await self.send(Started(self.say.id, sample_rate_hz, self.say.voice))

    async def audio(self, seconds: float) -> None:
        samples = int(seconds * SAMPLE_RATE_HZ)
        await self.ws.send_bytes(encode_audio(Audio(self.say.id, self.sent_samples, b"\x10\x01" * samples)))
        self.sent_samples += samples

    async def done(self) -> None:
        await self.send(Done(self.say.id, self.sent_samples))


Script = Callable[[Line], Awaitable[None]]


async def speak(line: Line) -> None:
    """As it should be: half a second of sound once the text is over."""
    await line.start()
    await line.ended.wait()
    await line.audio(0.5)
    await line.done()


async def starve(line: Line) -> None:
    """Says the first word, then gives up on the writer."""
    await line.start()
    while "Hello" not in line.text:
        await asyncio.sleep(0.01)
    await line.send(Words(line.say.id, (Word("Hello", 0.0, 0.3, 0, 5),)))
    await line.audio(0.3)
    await line.send(Failed(line.say.id, "timed_out", "no text came"))
    line.failed = True


async def silent(line: Line) -> None:
    """Takes the utterance and never answers."""


async def freeze_after_first_audio(line: Line) -> None:
    await line.start()
    await line.audio(0.3)


async def die_after_first_audio(line: Line) -> None:
    await line.start()
    await line.audio(0.3)
    assert line.request.transport is not None
    line.request.transport.abort()


async def die_at_once(line: Line) -> None:
    assert line.request.transport is not None
    line.request.transport.abort()


async def say_nothing(line: Line) -> None:
    await line.start()
    await line.ended.wait()
    await line.done()


async def wrong_rate(line: Line) -> None:
    await line.start(sample_rate_hz=8_000)


def fail(code: FailureCode, *, retryable: bool = False, retry_after_s: float | None = None) -> Script:
    async def script(line: Line) -> None:
        await line.send(Failed(line.say.id, code, "made to fail", retryable, 0, retry_after_s))

    return script


class FaultyEngine:
    """Each utterance follows the next script; the last one again and again."""

    def __init__(self, *scripts: Script, voices: tuple[str, ...] = ("default",)) -> None:
        self.lines: list[Line] = []
        self.ready = True
        self.probes = 0
        self.sockets = 0  # open now
        self._voices = voices
        self.url = ""
        self._scripts = list(scripts)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultyEngine:
        app = web.Application()
        app.router.add_get("/stream", self._serve)
        app.router.add_get("/readyz", self._answer_probe)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()

    async def _answer_probe(self, _: web.Request) -> web.Response:
        self.probes += 1
        return web.Response(status=200 if self.ready else 503)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets += 1
        try:
            await self._talk(request, ws)
        finally:
            self.sockets -= 1
        return ws

    async def _talk(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        lines: dict[str, Line] = {}
        async for raw in ws:
            if raw.type is not WSMsgType.TEXT:
                break
            message = decode_up(raw.data)
            if isinstance(message, Hello):
                await ws.send_str(encode(Hello(voices=self._voices, engine="faulty")))
            elif isinstance(message, Say):
                line = lines[message.id] = Line(message, ws, request)
                self.lines.append(line)
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                task = asyncio.ensure_future(script(line))
                self._tasks.add(task)
            elif isinstance(message, Text):
                lines[message.id].text += message.text
            elif isinstance(message, End):
                lines[message.id].ended.set()
            elif isinstance(message, Cancel):
                lines[message.id].cancelled = True
