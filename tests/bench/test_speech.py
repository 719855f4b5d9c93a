"""Speech of the callers: cut to its sound, and pauses where they belong. A tiny server stands for /synthesize."""

import io
import wave
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiohttp import web

from worker.bench.speech import PAUSE_S, PAUSED, QUESTIONS, speak, speak_apart, speak_with_pause

RATE_HZ = 24_000


def tone(seconds: float) -> np.ndarray:
    return np.full(int(seconds * RATE_HZ), 3000, np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE_HZ), np.int16)


def wav(samples: np.ndarray, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


@pytest.fixture
async def voice() -> AsyncIterator[dict]:
    """Says `voice["wav"]` whatever it is asked; `voice["url"]` is where."""
    state: dict = {}

    async def synthesize(_: web.Request) -> web.Response:
        return web.Response(body=state["wav"], content_type="audio/wav")

    app = web.Application()
    app.router.add_post("/synthesize", synthesize)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield state
    await runner.cleanup()


def parts(pcm: bytes) -> list[tuple[bool, float]]:
    """(sounding?, seconds) of each run."""
    loud = np.abs(np.frombuffer(pcm, np.int16)) > 0
    edges = np.flatnonzero(np.diff(loud)) + 1
    bounds = [0, *edges, len(loud)]
    return [(bool(loud[a]), round((b - a) / RATE_HZ, 2)) for a, b in zip(bounds, bounds[1:], strict=False)]


async def test_silence_at_both_ends_is_cut_off(voice) -> None:
    voice["wav"] = wav(np.concatenate([silence(0.3), tone(0.5), silence(0.4)]))
    assert parts((await speak(voice["url"], "Hello.")).pcm) == [(True, 0.5)]


async def test_the_longest_silence_inside_is_drawn_out(voice) -> None:
    voice["wav"] = wav(np.concatenate([tone(0.4), silence(0.05), tone(0.4), silence(0.15), tone(0.8)]))
    speech = await speak_with_pause(voice["url"], "If it rains", "should I come?")
    assert parts(speech.pcm) == [(True, 0.4), (False, 0.05), (True, 0.4), (False, PAUSE_S), (True, 0.8)]


async def test_clauses_spoken_apart_have_the_pause_between_them(voice) -> None:
    voice["wav"] = wav(tone(0.5))
    speech = await speak_apart(voice["url"], "If it rains", "should I come?")
    assert parts(speech.pcm) == [(True, 0.5), (False, PAUSE_S), (True, 0.5)]


async def test_another_sample_rate_is_converted(voice) -> None:
    voice["wav"] = wav(tone(0.5), rate_hz=48_000)  # half as long at 48 kHz
    assert (await speak(voice["url"], "Hello.")).seconds == pytest.approx(0.25, abs=0.01)


async def test_a_voice_that_says_nothing_is_an_error(voice) -> None:
    voice["wav"] = wav(silence(0.5))
    with pytest.raises(ValueError, match="nothing but silence"):
        await speak(voice["url"], "Hello.")


async def test_stereo_is_an_error_that_says_so(voice) -> None:
    voice["wav"] = wav(tone(0.5), channels=2)
    with pytest.raises(ValueError, match="2 channels of 16 bit"):
        await speak(voice["url"], "Hello.")


def test_there_are_enough_different_things_to_say() -> None:
    assert len(set(QUESTIONS)) >= 10
    assert len(set(PAUSED)) == 10
