"""Server-sent events as an answer: what is said, when, and the sound of it, side by side."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from starlette.types import Send

from tts_plugin.protocol import Words
from worker.api.broken_off import BreakableAnswer, send_body
from worker.api.errors import ApiError, problem
from worker.api.formats.encoder import Stream
from worker.api.formats.output import Output
from worker.api.speech import Spoken


class Event(NamedTuple):
    name: str
    data: dict[str, Any]
    sound: bytes = b""

    def encoded(self) -> bytes:
        data = self.data | {"audio": base64.b64encode(self.sound).decode()} if self.sound else self.data
        # ASCII: a text may hold half a surrogate pair, which has no UTF-8.
        return f"event: {self.name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class EventAnswer(BreakableAnswer):
    """Sends each event as it comes. A failure is the last event, `error`; `release` is called whatever happens."""

    def __init__(self, events: AsyncIterator[Event], release: Callable[[], None]) -> None:
        super().__init__("text/event-stream")
        self._events, self._at_end = events, release

    async def _send_all(self, send: Send) -> None:
        try:
            async for event in self._events:
                await send_body(send, event.encoded(), more=True)
        except ApiError as error:
            await send_body(send, Event("error", problem(error)).encoded(), more=True)
        await send_body(send, b"", more=False)

    def _release(self) -> None:
        self._at_end()


async def spoken_events(speech: Spoken, output: Output) -> AsyncIterator[Event]:
    """`words` before their `audio`; at last `done`. The audio's pieces, end to end, are one stream of the format."""
    rate_hz = speech.sample_rate_hz
    encoded, samples = Stream(output, rate_hz), 0
    media_type = output.media_type(rate_hz)
    yield Event("started", {"media_type": media_type, "sample_rate_hz": output.rate_hz(rate_hz)})
    async for item in speech.sounds():
        if isinstance(item, Words):
            yield words_event(item)
            continue
        samples = item.offset + item.samples
        if sound := encoded.feed(item.pcm):
            yield _audio(sound)
    if sound := encoded.finish():
        yield _audio(sound)
    yield Event("done", {"seconds": round(samples / rate_hz, 3)})


def words_event(words: Words) -> Event:
    return Event("words", {"words": [asdict(word) for word in words.words]})


def _audio(sound: bytes) -> Event:
    return Event("audio", {}, sound)
