"""An engine that is absent, mute, frozen, dying or refusing: the plugin says so in time, in LiveKit's own errors."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest
from ear import ONE_TRY, Heard, Witness, hear_stream, hear_text, until
from faulty_engine import (
    FaultyEngine,
    Line,
    die_after_first_audio,
    die_at_once,
    fail,
    freeze_after_first_audio,
    say_nothing,
    silent,
    speak,
    starve,
    wrong_rate,
)
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, APITimeoutError, tts
from livekit.agents.tts import AvailabilityChangedEvent
from livekit.plugins import vibevoice

TEXT = ["Hello there, ", "how are ", "you?"]
SECRET = "the secret word is xylophone"
Hear = Callable[..., object]
both_ways = pytest.mark.parametrize(
    "hear",
    [
        pytest.param(lambda v, c=ONE_TRY: hear_stream(v, TEXT, conn_options=c), id="stream"),
        pytest.param(lambda v, c=ONE_TRY: hear_text(v, "".join(TEXT), conn_options=c), id="chunked"),
    ],
)


@contextlib.asynccontextmanager
async def voice_of(engine: FaultyEngine, **options: float) -> AsyncIterator[vibevoice.TTS]:
    async with vibevoice.TTS(base_url=engine.url, **options) as voice:
        yield voice


@contextlib.contextmanager
def refusing_port():
    """A port that nobody listens on and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextlib.contextmanager
def black_hole():
    """Accepts the TCP connection (in the kernel) and never answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        yield deaf.getsockname()[1]


@both_ways
async def test_a_refused_connection_is_an_api_connection_error_at_once(hear: Hear) -> None:
    with refusing_port() as port:
        async with vibevoice.TTS(base_url=f"http://127.0.0.1:{port}") as voice:
            start = time.monotonic()
            with pytest.raises(APIConnectionError):
                await hear(voice)
            assert time.monotonic() - start < 1.0


@both_ways
async def test_a_black_holed_engine_is_an_error_within_the_connect_timeout(hear: Hear) -> None:
    with black_hole() as port:
        async with vibevoice.TTS(base_url=f"http://127.0.0.1:{port}") as voice:
            start = time.monotonic()
            with pytest.raises(APIConnectionError):
                await hear(voice, APIConnectOptions(max_retry=0, timeout=0.5))
            assert 0.4 < time.monotonic() - start < 1.5


@both_ways
async def test_an_engine_that_never_speaks_is_a_timeout(hear: Hear) -> None:
    async with FaultyEngine(silent) as engine, voice_of(engine, first_audio_timeout_s=0.4) as voice:
        start = time.monotonic()
        with pytest.raises(APITimeoutError, match="no audio within 0.4 s"):
            await hear(voice)
        assert 0.35 < time.monotonic() - start < 1.5
        assert engine.lines[0].text == "".join(TEXT)


async def test_the_first_audio_is_due_within_the_connect_options_by_default() -> None:
    async with FaultyEngine(silent) as engine, voice_of(engine) as voice:
        with pytest.raises(APITimeoutError, match="no audio within 0.3 s"):
            await hear_stream(voice, TEXT, conn_options=APIConnectOptions(max_retry=0, timeout=0.3))


@both_ways
async def test_an_engine_that_freezes_in_mid_utterance_is_a_timeout_after_the_listener_ran_dry(hear: Hear) -> None:
    async with FaultyEngine(freeze_after_first_audio) as engine, voice_of(engine, stall_timeout_s=0.3) as voice:
        start = time.monotonic()
        with pytest.raises(APITimeoutError, match="after the last was played"):
            await hear(voice)
        assert 0.55 < time.monotonic() - start < 2.0, "0.3 s of audio, then 0.3 s of patience"


async def test_a_writer_who_pauses_longer_than_every_deadline_is_no_error() -> None:
    async with FaultyEngine(speak) as engine:
        async with voice_of(engine, first_audio_timeout_s=0.2, stall_timeout_s=0.2) as voice:
            async with voice.stream(conn_options=ONE_TRY) as stream:
                stream.push_text("Let me think")
                await asyncio.sleep(0.6)  # the pause is what is tested
                stream.push_text(" about it.")
                stream.end_input()
                assert sum([event.frame.duration async for event in stream]) == pytest.approx(0.5, abs=0.02)
        assert engine.lines[0].text == "Let me think about it."


@pytest.mark.parametrize("ending", [" again.", " \n"])
async def test_a_writer_who_outlasts_the_engines_patience_goes_on_in_the_same_segment(ending: str) -> None:
    async with FaultyEngine(starve, speak) as engine, voice_of(engine) as voice:
        witness, heard = Witness(voice), Heard()
        async with voice.stream(conn_options=ONE_TRY) as stream:
            stream.push_text("Hello ")
            await until(lambda: engine.lines and engine.lines[0].failed)
            stream.push_text(ending)
            stream.end_input()
            async for event in stream:
                heard.take(event)
    assert heard.text == f"Hello {ending}"
    assert [line.text for line in engine.lines[1:]] == ([f" {ending}"] if ending.strip() else [])
    assert heard.duration_s == pytest.approx(0.8 if ending.strip() else 0.3, abs=0.03)
    assert heard.words[-1].start_time >= 0.3
    assert len(heard.segment_ids) == len(witness.metrics) == 1
    assert not witness.errors


async def test_a_timed_out_utterance_is_cancelled_at_the_engine() -> None:
    async with FaultyEngine(silent) as engine, voice_of(engine, first_audio_timeout_s=0.2) as voice:
        with pytest.raises(APITimeoutError):
            await hear_stream(voice, TEXT)
        await asyncio.wait_for(_cancelled(engine.lines[0]), 2)


@both_ways
async def test_an_engine_that_dies_in_mid_utterance_is_an_api_connection_error(hear: Hear) -> None:
    async with FaultyEngine(die_after_first_audio) as engine, voice_of(engine) as voice:
        with pytest.raises(APIConnectionError):
            await hear(voice)


async def test_a_stream_is_not_retried_once_the_listener_heard_some_of_it() -> None:
    async with FaultyEngine(die_after_first_audio, speak) as engine, voice_of(engine) as voice:
        with pytest.raises(APIConnectionError):
            await hear_stream(voice, TEXT, conn_options=APIConnectOptions(max_retry=3, retry_interval=0.01))
        assert len(engine.lines) == 1


async def test_a_stream_is_retried_with_all_its_text_when_nothing_was_heard() -> None:
    async with FaultyEngine(die_at_once, speak) as engine, voice_of(engine) as voice:
        witness = Witness(voice)
        heard = await hear_stream(voice, TEXT, conn_options=APIConnectOptions(max_retry=1, retry_interval=0.01))
        assert engine.lines[1].text == "".join(TEXT)
        assert heard.text == "".join(TEXT)
        assert [error.recoverable for error in witness.errors] == [True]
        assert len(witness.metrics) == 1


async def test_a_retried_chunked_stream_has_a_new_request_id() -> None:
    async with FaultyEngine(die_after_first_audio, speak) as engine, voice_of(engine) as voice:
        heard = await hear_text(voice, "Hello", conn_options=APIConnectOptions(max_retry=1, retry_interval=0.01))
        assert len(heard.request_ids) == 2


@both_ways
async def test_three_retries_are_four_errors_and_no_metrics(hear: Hear) -> None:
    with refusing_port() as port:
        async with vibevoice.TTS(base_url=f"http://127.0.0.1:{port}") as voice:
            witness = Witness(voice)
            with pytest.raises(APIConnectionError):
                await hear(voice, APIConnectOptions(max_retry=3, retry_interval=0.01))
            assert [error.recoverable for error in witness.errors] == [True, True, True, False]
            assert witness.metrics == []


@both_ways
@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        ("at_capacity", 503, True),
        ("draining", 503, True),
        ("unknown_voice", 404, False),
        ("bad_message", 400, False),
        ("too_long", 413, False),
    ],
)
async def test_a_refusal_is_a_status_error(hear: Hear, code: str, status: int, retryable: bool) -> None:
    async with FaultyEngine(fail(code, retryable=retryable, retry_after_s=1.5)) as engine, voice_of(engine) as voice:
        with pytest.raises(APIStatusError) as caught:
            await hear(voice)
    assert (caught.value.status_code, caught.value.retryable) == (status, retryable)
    assert caught.value.body == {"code": code, "retry_after_s": 1.5}


@pytest.mark.parametrize("retryable", [True, False])
async def test_an_engine_error_keeps_what_the_engine_says_of_a_retry(retryable: bool) -> None:
    async with FaultyEngine(fail("engine_error", retryable=retryable)) as engine, voice_of(engine) as voice:
        with pytest.raises(APIError) as caught:
            await hear_stream(voice, TEXT)
    assert caught.value.retryable is retryable


async def test_a_timeout_at_the_engine_is_a_timeout_here() -> None:
    async with FaultyEngine(fail("timed_out")) as engine, voice_of(engine) as voice:
        with pytest.raises(APITimeoutError):
            await hear_stream(voice, TEXT)


@pytest.mark.parametrize("script", [say_nothing, wrong_rate, silent, die_at_once, fail("engine_error")])
async def test_no_error_holds_what_was_to_be_said(script: object, caplog: pytest.LogCaptureFixture) -> None:
    async with FaultyEngine(script) as engine, voice_of(engine, first_audio_timeout_s=0.2) as voice:
        with pytest.raises(APIError) as stream_error:
            await hear_stream(voice, [SECRET])
        with pytest.raises(APIError) as text_error:
            await hear_text(voice, SECRET)
    assert "xylophone" not in repr(stream_error.value) + repr(text_error.value) + caplog.text


async def test_a_wrong_sample_rate_is_an_error_and_not_a_wrong_pitch() -> None:
    async with FaultyEngine(wrong_rate) as engine, voice_of(engine) as voice:
        with pytest.raises(APIError, match="8000 Hz; allowed: 24000") as caught:
            await hear_stream(voice, TEXT)
    assert not caught.value.retryable


@both_ways
async def test_the_fallback_adapter_goes_to_the_second_engine(hear: Hear) -> None:
    with refusing_port() as port:
        async with FaultyEngine(speak) as engine, voice_of(engine) as second:
            async with vibevoice.TTS(base_url=f"http://127.0.0.1:{port}") as first:
                both = tts.FallbackAdapter([first, second], max_retry_per_tts=0)
                changes: list[AvailabilityChangedEvent] = []
                both.on("tts_availability_changed", changes.append)
                heard = await hear(both)
                await both.aclose()
    assert heard.duration_s == pytest.approx(0.5, abs=0.02)
    assert heard.text == "".join(TEXT)
    assert [(change.tts, change.available) for change in changes] == [(first, False)]


async def test_the_fallback_adapter_goes_to_the_second_engine_when_the_first_is_full() -> None:
    async with FaultyEngine(fail("at_capacity", retryable=True)) as full, FaultyEngine(speak) as free:
        async with voice_of(full) as first, voice_of(free) as second:
            both = tts.FallbackAdapter([first, second], max_retry_per_tts=0)
            start = time.monotonic()
            heard = await hear_stream(both, TEXT)
            await both.aclose()
            assert time.monotonic() - start < 1.0
    assert heard.text == "".join(TEXT)


async def test_the_fallback_adapter_goes_to_the_second_engine_when_the_first_is_mute() -> None:
    async with FaultyEngine(silent) as mute, FaultyEngine(speak) as well:
        async with voice_of(mute, first_audio_timeout_s=0.3) as first, voice_of(well) as second:
            both = tts.FallbackAdapter([first, second], max_retry_per_tts=0)
            heard = await hear_stream(both, TEXT)
            await both.aclose()
    assert heard.text == "".join(TEXT)


async def test_an_engine_that_comes_back_is_used_again() -> None:
    async with FaultyEngine(die_at_once, speak) as engine, voice_of(engine) as voice:
        with pytest.raises(APIConnectionError):
            await hear_stream(voice, TEXT)
        assert (await hear_stream(voice, TEXT)).duration_s > 0.4


async def _cancelled(line: Line) -> None:
    while not line.cancelled:
        await asyncio.sleep(0.01)
