"""The microphone sends in real time and knows when the first and last sound left."""

import asyncio
import contextlib
import time

import numpy as np
import pytest

from worker.bench.microphone import Microphone

RATE_HZ = 24_000


def sound(seconds: float) -> bytes:
    return np.full(int(seconds * RATE_HZ), 3000, np.int16).tobytes()


def silence(seconds: float) -> bytes:
    return bytes(2 * int(seconds * RATE_HZ))


@pytest.fixture
async def microphone():
    microphone = Microphone(RATE_HZ)
    task = asyncio.create_task(microphone.run())
    yield microphone
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await microphone.source.aclose()


async def test_speech_takes_as_long_as_it_lasts(microphone) -> None:
    said = await microphone.play(sound(0.3))
    assert said.last_s - said.first_s == pytest.approx(0.29, abs=0.05)


async def test_silence_at_both_ends_is_not_counted_as_said(microphone) -> None:
    begun_s = time.monotonic()
    said = await microphone.play(silence(0.1) + sound(0.1) + silence(0.1))
    assert said.first_s - begun_s >= 0.08
    assert time.monotonic() - said.last_s >= 0.08


async def test_utterances_are_said_one_after_the_other(microphone) -> None:
    first, second = await asyncio.gather(microphone.play(sound(0.1)), microphone.play(sound(0.1)))
    assert first.last_s < second.first_s


async def test_a_cancelled_utterance_makes_way(microphone) -> None:
    long = microphone.play(sound(30))
    long.cancel()
    async with asyncio.timeout(1):
        await microphone.play(sound(0.05))


async def test_nothing_but_silence_is_refused(microphone) -> None:
    with pytest.raises(ValueError, match="nothing but silence"):
        microphone.play(silence(0.1))
