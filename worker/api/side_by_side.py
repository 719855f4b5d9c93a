"""A speech and the text that it speaks, while both are being made, as one row of events.

Two tasks put what they have into one short queue. Where nobody takes it, both wait: the model's server and the engine
are slowed down. The first that fails ends the row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from typing import Any

from worker.api.events import Event, spoken_events
from worker.api.formats.output import Output
from worker.api.speech import Speech

_WAITING = 32  # events that nobody has taken yet


class SideBySide:
    """`start` waits for the first words; then `events`. `cancel` it whatever happens."""

    def __init__(self, speech: Speech, text: AsyncIterable[str], output: Output) -> None:
        self._speech, self._text, self._output = speech, text, output
        self._queue: asyncio.Queue[Event | BaseException] = asyncio.Queue(_WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self._first: Event | None = None

    async def start(self) -> None:
        """ApiError when the model or the engine fails before it."""
        for name, work in (("chat-text", self._write()), ("chat-sound", self._speak())):
            self._tasks.append(asyncio.create_task(self._run(work), name=name))
        self._first = await self._next()

    async def events(self) -> AsyncIterator[Event]:
        """Up to `done`; raises ApiError."""
        event = self._first or await self._next()
        while True:
            yield event
            if event.name == "done":
                return
            event = await self._next()

    def cancel(self) -> None:
        self._speech.cancel()
        for task in self._tasks:
            task.cancel()

    async def _next(self) -> Event:
        event = await self._queue.get()
        if isinstance(event, BaseException):
            raise event
        return event

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # whoever takes the events raises it again
            await self._queue.put(error)

    async def _write(self) -> None:
        async for delta in self._text:
            self._speech.feed(delta)
            await self._queue.put(Event("text", {"delta": delta}))
        self._speech.end()

    async def _speak(self) -> None:
        await self._speech.start()
        async for event in spoken_events(self._speech, self._output):
            await self._queue.put(event)
