"""POST /v1/audio/transcriptions: OpenAI's own client sends files, the embedded recogniser hears them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from http_parts import Engine, Service, Start
from livekit import rtc
from livekit.plugins import openai as livekit_openai
from openai import AsyncOpenAI
from upload_parts import SAID, as_file, is_said, wav


@pytest.fixture
async def service(start: Start, models_url: str) -> Service:
    return await start(models_url=models_url)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0, timeout=30) as made:
        yield made


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("mp3", "libmp3lame"),
        ("flac", "flac"),
        ("ogg", "libopus"),
        ("mp4", "aac"),
        ("webm", "libopus"),
        ("adts", "aac"),
    ],
)
async def test_a_file_of_each_kind_is_heard(client: AsyncOpenAI, speech: Any, container: str, codec: str) -> None:
    file = ("speech", as_file(speech, container, codec))
    heard = await client.audio.transcriptions.create(file=file, model="whisper-1")
    assert is_said(heard.text)


async def test_what_the_service_speaks_it_understands(start: Start, engine: Engine, models_url: str) -> None:
    service = await start(engine_url=engine.url, models_url=models_url)
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        spoken = await client.audio.speech.create(model="tts-1", voice="alloy", input=SAID)
        heard = await client.audio.transcriptions.create(file=("a.mp3", spoken.content), model="whisper-1")
    assert is_said(heard.text)


async def test_times_are_where_the_speech_is(client: AsyncOpenAI, speech: Any) -> None:
    one = np.concatenate([np.zeros(24_000, np.int16), speech, np.zeros(48_000, np.int16), speech])
    heard = await client.audio.transcriptions.create(
        file=("a.wav", wav(one, 24_000)),
        model="x",
        response_format="verbose_json",
        language="en",
        timestamp_granularities=["segment"],
    )
    assert heard.duration == pytest.approx(len(one) / 24_000, abs=0.1)
    assert heard.segments is not None
    assert heard.segments[0].start == pytest.approx(1.0, abs=0.4)
    again_s = 1.0 + len(speech) / 24_000 + 2.0
    assert any(segment.start == pytest.approx(again_s, abs=0.4) for segment in heard.segments)
    assert heard.segments[-1].end <= heard.duration + 0.04
    starts = [time for segment in heard.segments for time in (segment.start, segment.end)]
    assert starts == sorted(starts)


async def test_each_answer_has_its_form(client: AsyncOpenAI, speech: Any) -> None:
    file = ("a.wav", wav(speech, 24_000))

    async def heard(response_format: Any) -> str:
        told = await client.audio.transcriptions.create(file=file, model="x", response_format=response_format)
        assert isinstance(told, str)
        return told

    assert is_said(await heard("text"))
    srt = (await heard("srt")).splitlines()
    assert srt[0] == "1"
    assert re.fullmatch(r"00:00:00,\d{3} --> 00:00:0\d,\d{3}", srt[1])
    vtt = (await heard("vtt")).splitlines()
    assert vtt[:2] == ["WEBVTT", ""]
    assert re.fullmatch(r"00:00:00\.\d{3} --> 00:00:0\d\.\d{3}", vtt[2])


async def test_silence_has_no_words(client: AsyncOpenAI) -> None:
    heard = await client.audio.transcriptions.create(file=("a.wav", wav(np.zeros(32_000))), model="x")
    assert heard.text == ""


async def test_livekits_own_plugin_hears(service: Service, speech: Any) -> None:
    stt = livekit_openai.STT(base_url=f"{service.url}/v1", api_key="any", model="whisper-1", use_realtime=False)
    try:
        event = await stt.recognize(rtc.AudioFrame(speech.tobytes(), 24_000, 1, len(speech)))
    finally:
        await stt.aclose()
    assert is_said(event.alternatives[0].text)
