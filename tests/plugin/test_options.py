"""What a TTS is made of, and what it does without an engine."""

from __future__ import annotations

import asyncio
import threading

import pytest
from ear import hear_stream
from faulty_engine import FaultyEngine, speak
from livekit.plugins import vibevoice

from tts_plugin.protocol import Say


def test_it_streams_aligned_mono_at_24_khz() -> None:
    voice = vibevoice.TTS()
    assert voice.capabilities.streaming
    assert voice.capabilities.aligned_transcript
    assert (voice.sample_rate, voice.num_channels) == (24_000, 1)
    assert (voice.provider, voice.model) == ("vibevoice", "vibevoice")


@pytest.mark.parametrize("base_url", ["", "localhost:8001", "ftp://localhost"])
def test_a_wrong_address_is_refused_when_the_voice_is_made(base_url: str) -> None:
    with pytest.raises(ValueError, match="allowed: http://"):
        vibevoice.TTS(base_url=base_url)


@pytest.mark.parametrize("name", ["first_audio_timeout_s", "stall_timeout_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_deadline_that_is_none_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*; allowed: a number of seconds above 0"):
        vibevoice.TTS(**{name: value})


async def test_every_option_reaches_the_engine() -> None:
    async with FaultyEngine(speak) as engine:
        async with vibevoice.TTS(
            base_url=engine.url, voice="en-emma_woman", klass="interactive", seed=7, language="en"
        ) as voice:
            await hear_stream(voice, ["Hello"])
        said = engine.lines[0].say
        assert said == Say(said.id, voice="en-emma_woman", klass="interactive", pace="realtime", seed=7, language="en")


async def test_new_options_hold_for_streams_opened_afterwards() -> None:
    async with FaultyEngine(speak) as engine, vibevoice.TTS(base_url=engine.url, voice="one", seed=1) as voice:
        async with voice.stream() as before:
            voice.update_options(voice="two", seed=None)
            before.push_text("Hello")
            before.end_input()
            assert [event async for event in before]
        await hear_stream(voice, ["Hello"])
        assert [(line.say.voice, line.say.seed) for line in engine.lines] == [("one", 1), ("two", None)]


async def test_the_model_is_what_the_engine_calls_itself_once_reached() -> None:
    async with FaultyEngine(speak) as engine, vibevoice.TTS(base_url=engine.url) as voice:
        await hear_stream(voice, ["Hello"])
        assert voice.model == "faulty"


def test_prewarm_without_a_running_loop_does_nothing() -> None:
    vibevoice.TTS().prewarm()


async def test_prewarm_without_an_engine_raises_nothing_and_ends() -> None:
    async with vibevoice.TTS(base_url="http://127.0.0.1:1") as voice:
        voice.prewarm()
        voice.prewarm()


async def test_one_tts_serves_several_event_loops_at_once() -> None:
    """Jobs of a thread executor may share it."""
    async with FaultyEngine(speak) as engine:
        voice, meet = vibevoice.TTS(base_url=engine.url), threading.Barrier(2)

        async def call() -> float:
            await asyncio.to_thread(meet.wait, 5)
            heard = await hear_stream(voice, ["Hello"])
            await voice.aclose()
            return heard.duration_s

        heard = await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(call())) for _ in range(2)))
    assert heard == [pytest.approx(0.5, abs=0.02)] * 2


async def test_a_loop_that_ended_without_closing_is_not_kept() -> None:
    voice = vibevoice.TTS(base_url="http://127.0.0.1:1")

    async def use() -> None:
        voice.prewarm()

    for _ in range(3):
        await asyncio.to_thread(lambda: asyncio.run(use()))
    assert len(voice._desks) == 1
