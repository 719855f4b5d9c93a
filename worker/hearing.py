"""The recogniser comes back by itself: when its stream fails, a new one is opened, later and later, and the call goes
on meanwhile. Who listens to the call is told once when nobody hears, and once when somebody does again.

Knows audio frames and events as LiveKit passes them; nothing of who recognises.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable

from livekit import rtc
from livekit.agents import stt
from livekit.agents.utils import aio

PAUSES_S = (0.1, 0.25, 0.5, 1.0, 2.0)
WELL_AFTER_S = 5.0  # a stream that lives so long has connected: our own is given up after two tries of 2 s
MAX_FRAMES = 500  # waiting for the recogniser: 10 s

log = logging.getLogger(__name__)

Listen = Callable[[AsyncIterable[rtc.AudioFrame]], AsyncIterable[stt.SpeechEvent | str]]


class Hearing:
    """`deaf_after_s`: how long nobody may hear before the caller is told. The callbacks return at once."""

    def __init__(self, *, deaf_after_s: float, on_deaf: Callable[[], None], on_back: Callable[[], None]) -> None:
        self._deaf_after_s = deaf_after_s
        self._on_deaf = on_deaf
        self._on_back = on_back
        self._lost_at: float | None = None
        self._opened_at: float | None = None  # the present stream
        self.is_deaf = False
        self.skips = False  # the turn went on without these words: they must not become another one

    async def listen(
        self, audio: AsyncIterable[rtc.AudioFrame], listen: Listen
    ) -> AsyncIterator[stt.SpeechEvent | str]:
        """The events of `listen`, opened again and again until the audio ends. What is said meanwhile is lost."""
        microphone = _Microphone(audio)
        watch = asyncio.create_task(self._watch(), name="hearing-watch")
        tries = 0
        try:
            while not microphone.is_over():
                self._opened_at = time.monotonic()
                try:
                    async with contextlib.aclosing(_closable(listen(microphone.frames()))) as events:
                        async for event in events:
                            tries = 0
                            self._heard()
                            if not self.skips:
                                yield event
                except (asyncio.CancelledError, GeneratorExit):
                    raise
                except Exception as error:  # whatever a recogniser fails with, the next one may hear
                    log.warning("the recogniser failed: %s", type(error).__name__)
                if microphone.is_over():
                    return
                if self._lost_at is None:  # it had been well
                    tries = 0
                self._opened_at = None
                self._lost_at = self._lost_at or time.monotonic()
                await asyncio.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
                tries += 1
        finally:
            watch.cancel()
            await asyncio.gather(watch, microphone.aclose(), return_exceptions=True)

    def _heard(self) -> None:
        self._lost_at = None
        if self.is_deaf:
            self.is_deaf = False
            self._on_back()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            now, lost_at = time.monotonic(), self._lost_at
            if self._opened_at is not None and now - self._opened_at >= WELL_AFTER_S:
                self._heard()
            elif lost_at is not None and not self.is_deaf and now - lost_at >= self._deaf_after_s:
                self.is_deaf = True
                self._on_deaf()


class _Microphone:
    """The caller's audio, for one recogniser after the other: what nobody takes is dropped, the oldest first."""

    def __init__(self, audio: AsyncIterable[rtc.AudioFrame]) -> None:
        self._ended = False
        self._reader: aio.Chan[rtc.AudioFrame] | None = None
        self._task = asyncio.create_task(self._run(audio), name="hearing-microphone")

    def is_over(self) -> bool:
        return self._ended

    async def frames(self) -> AsyncIterator[rtc.AudioFrame]:
        """From now on. A second reader ends the first."""
        if self._reader is not None:
            self._reader.close()
        self._reader = reader = aio.Chan[rtc.AudioFrame]()
        if self._ended:
            reader.close()
        try:
            async for frame in reader:
                yield frame
        finally:
            if self._reader is reader:
                self._reader = None

    async def aclose(self) -> None:
        await aio.cancel_and_wait(self._task)

    async def _run(self, audio: AsyncIterable[rtc.AudioFrame]) -> None:
        try:
            async for frame in audio:
                if self._reader is not None and not self._reader.closed:
                    if self._reader.qsize() >= MAX_FRAMES:
                        self._reader.recv_nowait()
                    self._reader.send_nowait(frame)
        finally:
            self._ended = True
            if self._reader is not None:
                self._reader.close()


async def _closable(events: AsyncIterable[stt.SpeechEvent | str]) -> AsyncGenerator[stt.SpeechEvent | str, None]:
    async for event in events:
        yield event
