"""Ending a stream early: at once, the engine's slot comes back, nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import random
import time
import urllib.request

import pytest
from ear import ONE_TRY, Witness, hear_stream, until
from livekit.plugins import vibevoice
from which_voice import embedded_voice_only

LONG = "The kitchen opens at seven, and the garden is closed today, but the terrace is free. " * 6

pytestmark = pytest.mark.timeout(120)


def active_at(url: str) -> int:
    with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
        return int(json.load(response)["active"])


async def no_slot_is_taken(url: str) -> bool:
    return await asyncio.to_thread(active_at, url) == 0


@pytest.mark.parametrize("frames", [0, 1, 5])
async def test_closing_returns_within_20_ms_and_frees_the_slot(
    voice: vibevoice.TTS, engine_url: str, frames: int
) -> None:
    await hear_stream(voice, ["Warm."])
    took = []
    for _ in range(5):
        stream = voice.stream(conn_options=ONE_TRY)
        stream.push_text(LONG)
        for _ in range(frames):
            await anext(stream)
        start = time.perf_counter()
        await stream.aclose()
        took.append(time.perf_counter() - start)
    assert sorted(took)[2] < 0.02, took
    await until(lambda: no_slot_is_taken(engine_url), within_s=2)


async def test_a_chunked_stream_closed_early_frees_the_slot(voice: vibevoice.TTS, engine_url: str) -> None:
    stream = voice.synthesize(LONG, conn_options=ONE_TRY)
    await anext(stream)
    await stream.aclose()
    await until(lambda: no_slot_is_taken(engine_url), within_s=2)


@embedded_voice_only("VibeVoice awaits five ids of a text that does not end; test_vibevoice_backend.py has its own")
async def test_two_hundred_streams_closed_at_any_moment_leave_nothing(voice: vibevoice.TTS, engine_url: str) -> None:
    witness, dice = Witness(voice), random.Random(4)
    before = len(asyncio.all_tasks())

    async def lane(count: int) -> None:
        for _ in range(count):
            text = LONG[: dice.randrange(len(LONG))]
            if dice.random() < 0.2:
                stream = voice.synthesize(text, conn_options=ONE_TRY)
            else:
                stream = voice.stream(conn_options=ONE_TRY)
                for delta in text.split(" "):
                    stream.push_text(delta + " ")
                if dice.random() < 0.5:
                    stream.end_input()
            for _ in range(dice.choice([0, 0, 1, 2, 5, 50])):
                await asyncio.sleep(0)
            if dice.random() < 0.2:
                await anext(stream, None)
            await stream.aclose()

    await asyncio.gather(*(lane(50) for _ in range(4)))
    assert not witness.errors
    await until(lambda: no_slot_is_taken(engine_url), within_s=3)
    await until(lambda: len(asyncio.all_tasks()) <= before + 2, within_s=2)  # the two tasks of the kept socket
    assert (await hear_stream(voice, ["And it still speaks."])).text == "And it still speaks."


async def test_closing_the_voice_closes_its_streams(engine_url: str) -> None:
    voice = vibevoice.TTS(base_url=engine_url)
    streams = [voice.stream(conn_options=ONE_TRY) for _ in range(2)]
    for stream in streams:
        stream.push_text(LONG)
    await anext(streams[0])
    await voice.aclose()
    for stream in streams:
        _ = [event async for event in stream]  # ends
    await until(lambda: no_slot_is_taken(engine_url), within_s=2)


async def test_a_stream_that_was_never_used_closes_cleanly(voice: vibevoice.TTS) -> None:
    async with voice.stream():
        pass
