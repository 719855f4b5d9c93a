"""The plugin with a real engine and the embedded voice: what LiveKit's contract asks of a TTS."""

from __future__ import annotations

import asyncio
import time

import jiwer
import pytest
from ear import ONE_TRY, Heard, Witness, hear_stream, hear_text
from faster_whisper import WhisperModel
from livekit.agents import APIStatusError
from livekit.plugins import vibevoice
from which_voice import SPEAKS, embedded_voice_only
from whisper_ear import plain, transcribe

TEXT = "The kitchen opens at seven, and the garden is closed today. Would you like a table by the window?"
DELTAS = [word + " " for word in TEXT.split(" ")[:-1]] + [TEXT.split(" ")[-1]]
UNSPEAKABLE = ["...", "?!", "🙂", "👩‍👩‍👧 🎉", "—", "***"]
ODD = [
    "a",
    "7",
    "hello\x00\x07\x1bworld",
    "so \ud83d lone",
    "مرحبا بالعالم",
    "שלום",
    "z̸̡̢a̴͓͝l̷͇̈́g̶̼̾o̵̪͋",
    "<b>bold</b> & *this*",
    "\u202eabc",
]

pytestmark = pytest.mark.timeout(90)


async def test_a_stream_gives_one_metrics_event_with_its_numbers(voice: vibevoice.TTS) -> None:
    witness = Witness(voice)
    heard = await hear_stream(voice, DELTAS)
    (metrics,) = witness.metrics
    assert metrics.streamed
    assert metrics.characters_count == len(TEXT)
    assert metrics.audio_duration == pytest.approx(heard.duration_s)
    assert 0 < metrics.ttfb < metrics.duration
    assert metrics.request_id in heard.request_ids
    assert not metrics.cancelled
    assert not witness.errors


async def test_a_chunked_stream_gives_one_metrics_event_with_its_numbers(voice: vibevoice.TTS) -> None:
    witness = Witness(voice)
    heard = await hear_text(voice, TEXT)
    (metrics,) = witness.metrics
    assert not metrics.streamed
    assert metrics.characters_count == len(TEXT)
    assert metrics.audio_duration == pytest.approx(heard.duration_s)
    assert metrics.ttfb > 0
    assert not witness.errors


async def test_the_socket_is_kept_and_the_metrics_say_so(voice: vibevoice.TTS) -> None:
    witness = Witness(voice)
    await hear_stream(voice, ["One."])
    await hear_stream(voice, ["Two."])
    await hear_text(voice, "Three.")
    assert [metrics.connection_reused for metrics in witness.metrics] == [False, True, True]
    assert witness.metrics[0].acquire_time > witness.metrics[1].acquire_time > 0


@pytest.mark.parametrize("way", ["stream", "chunked"])
async def test_frames_are_short_and_only_the_last_is_final(voice: vibevoice.TTS, way: str) -> None:
    heard = await (hear_stream(voice, DELTAS) if way == "stream" else hear_text(voice, TEXT))
    assert heard.finals == [False] * (len(heard.finals) - 1) + [True]
    assert all(0 < frame.duration <= 0.25 for frame in heard.frames)
    assert {(frame.sample_rate, frame.num_channels) for frame in heard.frames} == {(24_000, 1)}
    assert len(heard.request_ids) == len(heard.segment_ids) == 1


@pytest.mark.parametrize("way", ["stream", "chunked"])
async def test_the_timed_words_joined_are_the_text_and_lie_within_the_audio(voice: vibevoice.TTS, way: str) -> None:
    heard = await (hear_stream(voice, DELTAS) if way == "stream" else hear_text(voice, TEXT))
    assert heard.text == TEXT
    assert len(heard.words) >= len(TEXT.split())
    clock = [moment for word in heard.words for moment in (word.start_time, word.end_time)]
    assert clock == sorted(clock)
    assert 0 <= clock[0] < 1.0
    assert clock[-1] <= heard.duration_s + 0.05
    assert clock[-1] > 0.7 * heard.duration_s or not SPEAKS


async def test_speech_begins_before_the_last_word_is_written(voice: vibevoice.TTS) -> None:
    """The text is held open until audio has come: a voice that waited for its end would never speak."""
    heard = Heard()
    async with voice.stream(conn_options=ONE_TRY) as stream:
        for delta in DELTAS[:-4]:
            stream.push_text(delta)
        heard.take(await anext(stream))
        for delta in DELTAS[-4:]:
            stream.push_text(delta)
        stream.end_input()
        async for event in stream:
            heard.take(event)
    assert heard.text == TEXT


async def test_a_flush_ends_the_speech_without_waiting_for_the_end_of_input(voice: vibevoice.TTS) -> None:
    async with voice.stream(conn_options=ONE_TRY) as stream:
        stream.flush()  # before any text: means nothing
        stream.push_text("That is all.")
        stream.flush()
        assert [event.is_final async for event in stream][-1]


@pytest.mark.parametrize("way", ["stream", "chunked"])
@pytest.mark.parametrize("text", ["", " ", "\n\t  \u2003"])
async def test_white_space_alone_is_silence_and_no_error(voice: vibevoice.TTS, way: str, text: str) -> None:
    witness = Witness(voice)
    heard = await (hear_stream(voice, [text]) if way == "stream" else hear_text(voice, text))
    assert not heard.frames
    assert not witness.errors


async def test_white_space_takes_no_place_at_the_engine(voice: vibevoice.TTS) -> None:
    await hear_stream(voice, [" ", "\n"])
    assert voice.model == "vibevoice", "the engine was asked, else its own name would be known"


async def test_leading_white_space_is_part_of_the_transcript(voice: vibevoice.TTS) -> None:
    assert (await hear_stream(voice, ["\n", " ", "Hello."])).text == "\n Hello."


@pytest.mark.parametrize("way", ["stream", "chunked"])
@pytest.mark.parametrize("text", UNSPEAKABLE)
async def test_what_cannot_be_spoken_is_a_short_silence(voice: vibevoice.TTS, way: str, text: str) -> None:
    witness = Witness(voice)
    heard = await (hear_stream(voice, [text]) if way == "stream" else hear_text(voice, text))
    assert 0 < heard.duration_s < 1.0
    assert heard.text == text
    assert len(witness.metrics) == 1
    assert not witness.errors


@pytest.mark.parametrize("way", ["stream", "chunked"])
@pytest.mark.parametrize("text", ODD)
async def test_odd_text_is_no_error_and_none_of_it_is_lost(voice: vibevoice.TTS, way: str, text: str) -> None:
    witness = Witness(voice)
    heard = await (hear_stream(voice, list(text)) if way == "stream" else hear_text(voice, text))
    assert 0 < heard.duration_s < 8.0
    assert heard.text == text
    assert len(witness.metrics) == 1
    assert not witness.errors


@embedded_voice_only("random weights would go on for ten minutes")
async def test_five_thousand_characters_are_spoken_to_the_end(voice: vibevoice.TTS) -> None:
    text = (TEXT + " ") * (5_000 // len(TEXT))
    heard = await hear_text(voice, text)
    assert heard.text == text
    assert heard.duration_s > len(text) / 30


@embedded_voice_only("VibeVoice's engine may run ahead here, so that these tests need not last as long as the speech")
async def test_a_long_answer_does_not_run_far_ahead_of_its_listener(voice: vibevoice.TTS) -> None:
    heard, start = Heard(), time.monotonic()
    async with voice.stream(conn_options=ONE_TRY) as stream:
        stream.push_text((TEXT + " ") * 20)
        stream.end_input()
        while heard.duration_s < 6.0:
            heard.take(await anext(stream))
        while time.monotonic() - start < 4.0:
            heard.take(await anext(stream))
        assert heard.duration_s < time.monotonic() - start + 16.0


async def test_an_unknown_voice_is_a_404_that_is_not_retried(engine_url: str) -> None:
    async with vibevoice.TTS(base_url=engine_url, voice="nobody") as voice:
        witness = Witness(voice)
        with pytest.raises(APIStatusError, match="nobody") as caught:
            await hear_stream(voice, DELTAS)
        assert caught.value.status_code == 404
        assert [error.recoverable for error in witness.errors] == [False]


async def test_prewarm_opens_the_socket(voice: vibevoice.TTS) -> None:
    witness = Witness(voice)
    voice.prewarm()
    await voice._desk().warming
    await hear_stream(voice, ["Hello."])
    assert witness.metrics[0].connection_reused


async def test_streams_at_once_each_hear_their_own_text(voice: vibevoice.TTS, ear: WhisperModel) -> None:
    texts = ["The first train leaves at noon.", "My uncle grows yellow tomatoes."]
    heard = await asyncio.gather(*(hear_stream(voice, [text]) for text in texts))
    assert [one.text for one in heard] == texts
    assert (
        not SPEAKS
        or [jiwer.wer(plain(text), plain(transcribe(ear, one))) for text, one in zip(texts, heard, strict=True)]
        == [pytest.approx(0, abs=0.34)] * 2
    )


@embedded_voice_only("random weights speak noise")
@pytest.mark.parametrize("way", ["stream", "chunked"])
async def test_a_recogniser_understands_every_word(voice: vibevoice.TTS, ear: WhisperModel, way: str) -> None:
    heard = await (hear_stream(voice, DELTAS) if way == "stream" else hear_text(voice, TEXT))
    assert jiwer.wer(plain(TEXT), plain(transcribe(ear, heard))) <= 0.1
