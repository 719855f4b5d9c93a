"""Speech that goes on with the next engine: every word once, whatever happens to the first one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from ear import ONE_TRY, Heard, Witness, hear_stream, hear_text, until
from faulty_engine import FaultyEngine, Script, die_at_once, fail, say_nothing, silent, wrong_rate
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from livekit.plugins import vibevoice
from test_faults import black_hole, refusing_port
from word_code import WORD_S, code, read_back, text_of

WORDS = range(12)
SAID = [(n, WORD_S) for n in WORDS]
TEXT = text_of(WORDS)
DELTAS = [TEXT[n : n + 5] for n in range(0, len(TEXT), 5)]


class Carried(vibevoice.TTS):
    """With several engines, keeping count of the swaps."""

    def __init__(self, *engines: FaultyEngine | str, **options: Any) -> None:
        self.swaps: list[str] = []
        urls = [engine.url if isinstance(engine, FaultyEngine) else engine for engine in engines]
        super().__init__(engines=urls, on_swap=self.swaps.append, **options)


@pytest.mark.parametrize("fate", ["cut", "freeze", "error", "draining"])
async def test_every_word_is_heard_once_when_the_first_engine_fails_in_mid_word(fate: Any) -> None:
    async with FaultyEngine(code(until_s=1.6, fate=fate)) as first, FaultyEngine(code()) as second:
        async with Carried(first, second) as voice:
            witness = Witness(voice)
            heard = await hear_stream(voice, DELTAS)
    assert read_back(heard.frames) == SAID
    assert heard.text == TEXT
    assert second.lines[0].text == TEXT[TEXT.index(" w5") :]
    assert voice.swaps == [{"cut": "unreachable", "freeze": "stalled", "error": "failed", "draining": "refused"}[fate]]
    assert not witness.errors
    assert len(witness.metrics) == 1


async def test_a_word_is_heard_twice_only_when_the_listener_could_not_wait_for_its_end() -> None:
    async with FaultyEngine(code(until_s=1.6, drip=True)) as first, FaultyEngine(code()) as second:
        async with Carried(first, second) as voice:
            heard = await hear_stream(voice, DELTAS)
    said = read_back(heard.frames)
    assert list(dict.fromkeys(word for word, _ in said)) == list(WORDS)
    assert sum(length for _, length in said) == pytest.approx(len(WORDS) * WORD_S + 0.1)  # w5 began once more
    assert heard.text == TEXT


async def test_text_that_is_still_being_written_goes_to_whoever_speaks_now() -> None:
    async with FaultyEngine(code(until_s=1.0)) as first, FaultyEngine(code()) as second:
        async with Carried(first, second) as voice, voice.stream(conn_options=ONE_TRY) as stream:
            heard = Heard()
            stream.push_text(text_of(range(6)))
            await until(lambda: second.lines and second.lines[0].text.endswith("w5"))
            stream.push_text(" " + text_of(range(6, 12)))
            stream.end_input()
            async for event in stream:
                heard.take(event)
    assert read_back(heard.frames) == SAID
    assert heard.text == TEXT
    assert len(heard.segment_ids) == 1


@pytest.mark.parametrize(
    "script", [silent, die_at_once, say_nothing, wrong_rate, fail("at_capacity"), fail("draining")]
)
@pytest.mark.parametrize(
    "hear", [lambda v: hear_stream(v, DELTAS), lambda v: hear_text(v, TEXT)], ids=["stream", "text"]
)
async def test_an_engine_that_does_not_begin_costs_its_deadline_at_most(script: Script, hear: Any) -> None:
    async with FaultyEngine(script) as first, FaultyEngine(code()) as second:
        async with Carried(first, second, first_audio_timeout_s=0.3) as voice:
            start = time.monotonic()
            heard = await hear(voice)
            assert heard.first_audio_at is not None
            assert heard.first_audio_at - start < 0.3 * 2 + 0.5
    assert read_back(heard.frames) == SAID
    assert heard.text == TEXT
    assert len(voice.swaps) == 1


async def test_an_engine_that_cannot_be_reached_is_passed_over() -> None:
    with refusing_port() as port, black_hole() as hole:
        async with FaultyEngine(code()) as last:
            urls = [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{hole}"]
            async with Carried(*urls, last, first_audio_timeout_s=0.3) as voice:
                heard = await hear_stream(voice, DELTAS)
                assert set(voice.breakers()) == {*urls, last.url}
    assert read_back(heard.frames) == SAID
    assert len(voice.swaps) == 2


async def test_two_engines_may_fail_in_one_sentence_and_the_first_comes_back() -> None:
    async with FaultyEngine(code(until_s=1.6), code()) as first, FaultyEngine(code(until_s=0.8)) as second:
        async with Carried(first, second) as voice:
            heard = await hear_stream(voice, DELTAS)
    assert read_back(heard.frames) == SAID
    assert voice.swaps == ["unreachable", "unreachable"]
    assert len(first.lines) == 2


@pytest.mark.parametrize(
    ("script", "error"),
    [(die_at_once, APIConnectionError), (fail("at_capacity"), APIStatusError), (silent, APITimeoutError)],
)
async def test_when_every_engine_failed_the_error_is_the_last_ones(script: Script, error: type[APIError]) -> None:
    async with FaultyEngine(script) as first, FaultyEngine(script) as second:
        async with Carried(first, second, first_audio_timeout_s=0.2, stall_timeout_s=0.3) as voice:
            with pytest.raises(error) as caught:
                await hear_stream(voice, DELTAS)
    assert "w3" not in repr(caught.value)
    assert len(voice.swaps) == 1


async def test_the_next_turn_does_not_wait_for_the_engine_that_failed() -> None:
    async with FaultyEngine(silent) as first, FaultyEngine(code()) as second:
        first.ready = False
        async with Carried(first, second, first_audio_timeout_s=0.3) as voice:
            await hear_stream(voice, DELTAS)
            assert voice.breakers() == {first.url: "open", second.url: "closed"}
            await hear_stream(voice, DELTAS)
    assert (len(first.lines), len(second.lines)) == (1, 2)


async def test_an_engine_that_is_ready_again_is_preferred_again() -> None:
    async with FaultyEngine(die_at_once, code()) as first, FaultyEngine(code()) as second:
        async with Carried(first, second) as voice:
            await hear_stream(voice, DELTAS)
            await until(lambda: voice.breakers()[first.url] == "closed", within_s=10.0)
            assert first.probes == 1
            await hear_stream(voice, DELTAS)
    assert (len(first.lines), len(second.lines)) == (2, 1)


async def test_prewarming_finds_out_who_is_there() -> None:
    with refusing_port() as port:
        gone = f"http://127.0.0.1:{port}"
        async with FaultyEngine(code()) as second, Carried(gone, second) as voice:
            voice.prewarm()
            await until(lambda: voice.breakers()[gone] == "open" and second.sockets == 1)
            await hear_stream(voice, DELTAS)
            assert voice.swaps == []


async def test_a_voice_that_an_engine_does_not_have_has_its_stand_in_there() -> None:
    async with FaultyEngine(die_at_once, voices=("en-carter_man",)) as first:
        async with FaultyEngine(code(), voices=("heart", "mike", "en-frank_man", "default")) as second:
            async with Carried(first, second, voice="en-carter_man", language="en-GB") as voice:
                await hear_stream(voice, DELTAS)
    assert (first.lines[0].say.voice, second.lines[0].say.voice) == ("en-carter_man", "en-frank_man")
    assert second.lines[0].say.language == "en-GB"


async def test_an_engine_may_have_a_voice_of_its_own() -> None:
    async with FaultyEngine(code(), voices=("default", "mine")) as engine:
        async with vibevoice.TTS(engines=[vibevoice.Engine(engine.url, voice="mine")], voice="default") as voice:
            await hear_stream(voice, DELTAS)
    assert engine.lines[0].say.voice == "mine"


@pytest.mark.parametrize("refusal", ["unknown_voice", "bad_message"])
async def test_a_refused_voice_or_language_is_asked_for_once_more_in_plain_terms(refusal: Any) -> None:
    async with FaultyEngine(fail(refusal), code(), voices=("de-spk0_man", "default")) as engine:
        async with Carried(engine, voice="de-spk0_man", language="de") as voice:
            heard = await hear_stream(voice, DELTAS)
    assert [line.say.language for line in engine.lines] == ["de", None]
    assert read_back(heard.frames) == SAID
    assert voice.swaps == []


async def test_a_cancelled_turn_is_over_at_once_and_at_the_engine_too() -> None:
    async with FaultyEngine(code(drip=True)) as first, FaultyEngine(code()) as second:
        async with Carried(first, second) as voice:
            stream = voice.stream(conn_options=ONE_TRY)
            stream.push_text(TEXT)
            await anext(stream)
            start = time.thread_time()
            await stream.aclose()
            assert time.thread_time() - start < 0.02
            await until(lambda: first.lines[0].cancelled)
            assert not second.lines


async def test_a_hundred_cancelled_turns_leave_no_socket_and_no_task() -> None:
    async with FaultyEngine(code()) as first, FaultyEngine(code()) as second:
        async with Carried(first, second) as voice:
            for _ in range(100):
                async with voice.stream(conn_options=ONE_TRY) as stream:
                    stream.push_text("w1 w2 ")
                    await asyncio.sleep(0)
            await hear_stream(voice, DELTAS)
            assert (first.sockets, second.sockets) == (1, 0)
            assert {task.get_name() for task in asyncio.all_tasks() if "vibevoice" in task.get_name()} == set()
        await until(lambda: first.sockets == 0)


async def test_an_engine_that_takes_nothing_in_does_not_hold_up_the_end() -> None:
    with black_hole() as hole:
        async with FaultyEngine(code()) as second:
            voice = Carried(f"http://127.0.0.1:{hole}", second)
            stream = voice.stream(conn_options=ONE_TRY)
            stream.push_text(TEXT)
            await asyncio.sleep(0.05)
            start = time.monotonic()
            await stream.aclose()
            await voice.aclose()
            assert time.monotonic() - start < 1.0


def test_no_engine_is_no_voice() -> None:
    with pytest.raises(ValueError, match="engines is empty"):
        vibevoice.TTS(engines=[])


async def test_a_counter_that_fails_does_not_end_the_speech(caplog: pytest.LogCaptureFixture) -> None:
    def count(reason: str) -> None:
        raise RuntimeError("made to fail")

    async with FaultyEngine(die_at_once) as first, FaultyEngine(code()) as second:
        async with vibevoice.TTS(engines=[first.url, second.url], on_swap=count) as voice:
            assert read_back((await hear_stream(voice, DELTAS)).frames) == SAID
    assert "on_swap failed" in caplog.text
