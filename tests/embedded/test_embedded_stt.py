"""EmbeddedSTT as AgentSession uses it: frames in, events out, against the real models process's app."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, stt
from models_server import serving

from worker.embedded.moonshine import Moonshine
from worker.embedded.recogniser import Recogniser
from worker.embedded.server import Models
from worker.stt import EmbeddedSTT

SENTENCE = "I would like to book a table for tomorrow evening."
OTHER = "The parcel has not arrived yet."
FRAME_BYTES = 640  # 20 ms
FIRST_SILENCE_S = 0.2  # the VAD falls up to 0.15 s after the voice; still inside the segment's own 0.22 s
DEADLINE_S = 20
NO_RETRY = APIConnectOptions(max_retry=0, timeout=2)
Type = stt.SpeechEventType


def silence(seconds: float) -> bytes:
    return bytes(int(seconds * 100) * 320)


class Caller:
    """One stream and the transcripts that came so far."""

    def __init__(self, url: str, options: APIConnectOptions = NO_RETRY) -> None:
        self.stream = EmbeddedSTT(url).stream(conn_options=options)
        self._rest = b""

    def say(self, pcm: bytes) -> None:
        pcm = self._rest + pcm
        whole = len(pcm) // FRAME_BYTES * FRAME_BYTES
        self._rest = pcm[whole:]
        for start in range(0, whole, FRAME_BYTES):
            self.stream.push_frame(rtc.AudioFrame(pcm[start : start + FRAME_BYTES], 16_000, 1, FRAME_BYTES // 2))

    async def next(self, *kinds: stt.SpeechEventType) -> str:
        async with asyncio.timeout(DEADLINE_S):
            async for event in self.stream:
                if event.type in kinds:
                    return event.alternatives[0].text
        raise AssertionError(f"the stream ended without {kinds}")

    async def rest(self) -> list[str]:
        """Ends the audio; every final that is still to come."""
        self.stream.end_input()
        async with asyncio.timeout(DEADLINE_S):
            return [e.alternatives[0].text async for e in self.stream if e.type is Type.FINAL_TRANSCRIPT]


async def test_the_first_silence_brings_the_words_that_the_final_repeats(
    models_url: str, speak: Callable[[str], bytes]
) -> None:
    caller = Caller(models_url)
    caller.say(silence(0.5) + speak(SENTENCE) + silence(FIRST_SILENCE_S))
    early = await caller.next(Type.PREFLIGHT_TRANSCRIPT)
    caller.say(silence(0.5))
    final = await caller.next(Type.FINAL_TRANSCRIPT)
    await caller.stream.aclose()
    assert "book a table" in early
    assert final == early


async def test_words_are_told_while_the_caller_speaks(models_url: str, speak: Callable[[str], bytes]) -> None:
    caller = Caller(models_url)
    spoken = speak(SENTENCE)
    caller.say(silence(0.3) + spoken[: int(1.6 * 32_000)])
    interim = await caller.next(Type.INTERIM_TRANSCRIPT)
    await caller.stream.aclose()
    assert "like" in interim.lower()


async def test_speech_that_goes_on_after_a_short_silence_stays_one_segment(
    models_url: str, speak: Callable[[str], bytes]
) -> None:
    caller = Caller(models_url)
    caller.say(silence(0.3) + speak("I would like to book a table") + silence(0.1) + speak("for tomorrow evening."))
    caller.say(silence(0.6))
    finals = await caller.rest()
    assert len(finals) == 1
    assert "table" in finals[0]
    assert "tomorrow" in finals[0]


async def test_a_longer_pause_makes_two_finals(models_url: str, speak: Callable[[str], bytes]) -> None:
    caller = Caller(models_url)
    caller.say(silence(0.3) + speak(SENTENCE) + silence(0.8) + speak(OTHER) + silence(0.8))
    first, second = await caller.rest()
    assert "table" in first
    assert "parcel" in second


async def test_audio_that_ends_in_mid_speech_still_gets_its_words(
    models_url: str, speak: Callable[[str], bytes]
) -> None:
    caller = Caller(models_url)
    caller.say(silence(0.3) + speak(OTHER))
    (final,) = await caller.rest()
    assert "parcel" in final


async def test_silence_has_no_words(models_url: str) -> None:
    caller = Caller(models_url)
    caller.say(silence(2))
    assert await caller.rest() == []


async def test_no_models_process_is_a_connection_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        caller = Caller(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(APIConnectionError):
            await caller.next(Type.FINAL_TRANSCRIPT)


async def test_a_segment_survives_a_models_process_that_is_started_anew(
    models: Models, moonshine: Moonshine, speak: Callable[[str], bytes]
) -> None:
    spoken = speak(SENTENCE)
    with serving(replace(models, recogniser=Recogniser(moonshine))) as url:
        caller = Caller(url, APIConnectOptions(max_retry=5, retry_interval=0.2, timeout=2))
        caller.say(silence(0.3) + spoken[: int(1.2 * 32_000)])
        await caller.next(Type.INTERIM_TRANSCRIPT)
    with serving(replace(models, recogniser=Recogniser(moonshine)), port=int(url.rsplit(":", 1)[1])):
        caller.say(spoken[int(1.2 * 32_000) :] + silence(0.6))
        final = await caller.next(Type.FINAL_TRANSCRIPT)
        await caller.stream.aclose()
    assert "like to book a table" in final
    assert "evening" in final
