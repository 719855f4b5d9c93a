"""POST /synthesize and GET /voices, with the real engine."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Callable

import aiohttp
import numpy as np
import pytest
from http_parts import Engine, Start, until

from tts_plugin.client import EngineClient

HELLO = "Hello, this is a short sentence."
LONG = "This is one of very many sentences, and there are more of them to come. " * 200


def loudness(pcm: bytes) -> float:
    return float(np.abs(np.frombuffer(pcm, np.int16)).max()) / 32768


async def test_a_whole_wav_has_a_right_header(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": HELLO}) as response:
        body = await response.read()
    assert response.status == 200
    assert response.content_type == "audio/wav"
    assert response.headers["X-AI-Generated"] == "true"
    assert int(response.headers["Content-Length"]) == len(body)
    with wave.open(io.BytesIO(body)) as audio:
        assert (audio.getnchannels(), audio.getsampwidth(), audio.getframerate()) == (1, 2, 24_000)
        assert audio.getnframes() * 2 + 44 == len(body)
        assert 1.0 < audio.getnframes() / 24_000 < 5.0
        assert loudness(audio.readframes(audio.getnframes())) > 0.1


async def test_pcm_is_samples_and_nothing_else(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": HELLO, "output_format": "pcm"}) as response:
        body = await response.read()
    assert response.headers["Content-Type"] == "audio/pcm; rate=24000; channels=1; format=s16le"
    assert body[:4] != b"RIFF"
    assert len(body) % 2 == 0
    assert loudness(body) > 0.1


async def test_a_streamed_wav_begins_while_it_is_being_made(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": LONG, "stream": True}) as response:
        first = await response.content.readexactly(1044)
        assert engine.active == 1
    assert "Content-Length" not in response.headers
    assert first[:4] == b"RIFF"
    assert first[36:40] == b"data"
    assert int.from_bytes(first[40:44], "little") == 0xFFFF_FFFF - 36


async def test_a_streamed_wav_is_all_there(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": HELLO, "stream": True}) as response:
        body = await response.read()
    assert 24_000 * 2 < len(body) < 24_000 * 2 * 5
    assert loudness(body[44:]) > 0.1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_frees_the_engine(start: Start, engine: Engine, stream: bool) -> None:
    service = await start(engine_url=engine.url)
    async with aiohttp.ClientSession(service.url) as client:
        asking = asyncio.create_task(client.post("/synthesize", json={"text": LONG, "stream": stream}))
        await until(lambda: engine.active == 1)
        if stream:
            (await asking).close()
        else:
            asking.cancel()
        await until(lambda: engine.active == 0, within_s=1.0)
    await asyncio.gather(asking, return_exceptions=True)


async def test_an_unknown_voice_is_refused_with_those_there_are(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": HELLO, "voice_id": "nobody"}) as response:
        answer = await response.json()
    assert response.status == 422
    assert answer["errors"] == [{"field": "voice_id", "given": "nobody", "allowed": "heart"}]


@pytest.mark.parametrize(
    ("language", "allowed"),
    [("tlh", "en, de, fr, es"), ("de-DE", "heart speaks en"), ("not a language", "text that matches")],
)
async def test_a_language_that_cannot_be_spoken_is_refused_by_name(
    start: Start, engine: Engine, language: str, allowed: str
) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": HELLO, "language": language}) as response:
        answer = await response.json()
    assert response.status == 422
    (error,) = answer["errors"]
    assert (error["field"], error["given"]) == ("language", language)
    assert allowed in error["allowed"]


async def test_a_language_that_the_voice_speaks_is_taken(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": HELLO, "language": "en-GB"}) as response:
        assert response.status == 200


async def test_a_full_engine_refuses_at_once(start: Start, start_engine: Callable[..., Engine]) -> None:
    engine = start_engine(max_batch_size=1)
    service = await start(engine_url=engine.url)
    client = EngineClient(engine.url)
    await client.say()
    await until(lambda: engine.active == 1)
    for stream in (True, False):
        async with service.client.post("/synthesize", json={"text": HELLO, "stream": stream}) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert (await response.json())["code"] == "at_capacity"
    await client.aclose()


async def test_a_failure_after_the_first_sound_breaks_the_body_off(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": LONG, "stream": True}) as response:
        await response.content.readexactly(1044)
        await asyncio.to_thread(engine.backend.close)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_failure_before_the_whole_is_there_is_a_clean_error(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    asking = asyncio.create_task(service.client.post("/synthesize", json={"text": LONG}))
    await until(lambda: engine.active == 1)
    await asyncio.to_thread(engine.backend.close)
    response = await asking
    assert response.status == 503
    assert (await response.json())["code"] == "draining"


async def test_a_text_without_a_word_is_silence(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": "🙂"}) as response:
        body = await response.read()
    assert response.status == 200
    with wave.open(io.BytesIO(body)) as audio:
        assert audio.getnframes() < 24_000


async def test_many_at_once_each_get_their_own(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)

    async def seconds(sentences: int) -> float:
        text = HELLO * sentences
        async with service.client.post("/synthesize", json={"text": text, "output_format": "pcm"}) as response:
            assert response.status == 200
            return len(await response.read()) / 48_000

    one, two, four = await asyncio.gather(seconds(1), seconds(2), seconds(4))
    assert one < two < four


async def test_voices_are_the_engines(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.get("/voices") as response:
        (voice,) = (await response.json())["voices"]
    assert voice["id"] == "heart"
    assert "default" in voice["aliases"]


async def test_it_finds_an_engine_that_came_back(start: Start, start_engine: Callable[..., Engine]) -> None:
    engine = start_engine()
    service = await start(engine_url=engine.url)

    async def ask() -> int:
        async with service.client.post("/synthesize", json={"text": HELLO}) as response:
            await response.read()
            return response.status

    assert await ask() == 200
    await asyncio.to_thread(engine.stop)
    assert await ask() == 503
    await asyncio.to_thread(start_engine, engine.port)
    assert await ask() == 200
