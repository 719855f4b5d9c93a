"""What a listener collects from a stream of the plugin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from livekit import rtc
from livekit.agents import APIConnectOptions, tts
from livekit.agents.metrics import TTSMetrics
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString

ONE_TRY = APIConnectOptions(max_retry=0)


@dataclass
class Heard:
    frames: list[rtc.AudioFrame] = field(default_factory=list)
    finals: list[bool] = field(default_factory=list)
    request_ids: set[str] = field(default_factory=set)
    segment_ids: set[str] = field(default_factory=set)
    words: list[TimedString] = field(default_factory=list)
    first_audio_at: float | None = None

    @property
    def duration_s(self) -> float:
        return sum(frame.duration for frame in self.frames)

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def loudest(self) -> int:
        return max((abs(sample) for frame in self.frames for sample in frame.data), default=0)

    def take(self, event: tts.SynthesizedAudio) -> None:
        if self.first_audio_at is None:
            self.first_audio_at = time.monotonic()
        self.frames.append(event.frame)
        self.finals.append(event.is_final)
        self.request_ids.add(event.request_id)
        self.segment_ids.add(event.segment_id)
        self.words += event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])


class Witness:
    """What a TTS says of itself: metrics and errors."""

    def __init__(self, voice: tts.TTS) -> None:
        self.metrics: list[TTSMetrics] = []
        self.errors: list[tts.TTSError] = []
        voice.on("metrics_collected", self.metrics.append)
        voice.on("error", self.errors.append)


async def hear_stream(voice: tts.TTS, deltas: Iterable[str], *, conn_options: APIConnectOptions = ONE_TRY) -> Heard:
    """Push the deltas, end, and listen to the end."""
    heard = Heard()
    async with voice.stream(conn_options=conn_options) as stream:
        for delta in deltas:
            stream.push_text(delta)
        stream.end_input()
        async for event in stream:
            heard.take(event)
    return heard


async def hear_text(voice: tts.TTS, text: str, *, conn_options: APIConnectOptions = ONE_TRY) -> Heard:
    heard = Heard()
    async with voice.synthesize(text, conn_options=conn_options) as stream:
        async for event in stream:
            heard.take(event)
    return heard


async def until(condition, *, within_s: float = 5.0) -> None:
    """Poll a condition (a function, perhaps async) until it holds."""
    deadline = time.monotonic() + within_s
    while True:
        held = condition()
        if asyncio.iscoroutine(held):
            held = await held
        if held:
            return
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        await asyncio.sleep(0.02)
