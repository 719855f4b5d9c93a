"""A caller's microphone: speech and silence in real time, frame by frame, with the time at which each sample left.

A frame of 10 ms is handed on when its last sample would have been spoken; nothing is buffered behind it, so the time of
handing on is the time of sending.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from livekit import rtc

FRAME_S = 0.010
MAX_QUEUED = 16  # utterances waiting to be spoken
RESYNC_AFTER_S = 0.2  # later than this, the clock is set anew instead of sending a burst


@dataclass(frozen=True, slots=True)
class Said:
    """When the first and the last non-silent sample were sent (monotonic seconds)."""

    first_s: float
    last_s: float


class Microphone:
    """Sends silence until `play` gives it something to say. `run` is the task that speaks; its owner cancels it."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.worst_lateness_s = 0.0
        self.source = rtc.AudioSource(sample_rate_hz, 1, queue_size_ms=0)
        self._frame_samples = round(sample_rate_hz * FRAME_S)
        self._waiting: deque[_Utterance] = deque()

    def play(self, pcm: bytes) -> asyncio.Future[Said]:
        """Queue pcm_s16le mono at `sample_rate_hz`; done when its last frame was sent. Cancel: stop speaking."""
        if len(self._waiting) >= MAX_QUEUED:
            raise ValueError(f"{MAX_QUEUED} utterances are waiting already")
        utterance = _Utterance(pcm, self._frame_samples, asyncio.get_running_loop().create_future())
        self._waiting.append(utterance)
        return utterance.said

    async def run(self) -> None:
        due_s = time.monotonic()
        while True:
            speech = self._speaking()
            pcm = speech.next_frame() if speech else bytes(2 * self._frame_samples)
            await self.source.capture_frame(rtc.AudioFrame(pcm, self.sample_rate_hz, 1, self._frame_samples))
            sent_s = time.monotonic()
            if speech and speech.sent(sent_s):
                self._waiting.popleft()
            due_s += FRAME_S
            self.worst_lateness_s = max(self.worst_lateness_s, sent_s - due_s)
            if sent_s - due_s > RESYNC_AFTER_S:
                due_s = sent_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def _speaking(self) -> _Utterance | None:
        while self._waiting and self._waiting[0].said.done():
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None


class _Utterance:
    def __init__(self, pcm: bytes, frame_samples: int, said: asyncio.Future[Said]) -> None:
        samples = np.frombuffer(pcm, np.int16)
        padding = -samples.size % frame_samples
        self._frames = np.pad(samples, (0, padding)).reshape(-1, frame_samples)
        sounding = np.flatnonzero(np.abs(self._frames.astype(np.int32)).max(axis=1) > 0)
        if not sounding.size:
            raise ValueError("there is nothing but silence to say")
        self._first, self._last = int(sounding[0]), int(sounding[-1])
        self._next = 0
        self._first_s = 0.0
        self._last_s = 0.0
        self.said = said

    def next_frame(self) -> bytes:
        return bytes(self._frames[self._next].data)

    def sent(self, at_s: float) -> bool:
        """The frame went out at `at_s`; True when it was the last."""
        if self._next == self._first:
            self._first_s = at_s
        if self._next == self._last:
            self._last_s = at_s
        self._next += 1
        ended = self._next == len(self._frames)
        if ended and not self.said.done():
            self.said.set_result(Said(self._first_s, self._last_s))
        return ended
