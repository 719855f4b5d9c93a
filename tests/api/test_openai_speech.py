"""/v1/… for OpenAI's own client, and for the TTS of livekit-plugins-openai; the real engine speaks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from http_parts import Engine, Service, Start, until
from livekit.plugins import openai as livekit_openai
from openai import AsyncOpenAI
from sound_parts import seconds_of

from worker.keys import KeyFile

HELLO = "Hello, this is a short sentence."
LONG = "The library opens at nine in the morning on weekdays. " * 120
NAMES = [
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
]


@pytest.fixture
async def service(start: Start, engine: Engine) -> Service:
    return await start(engine_url=engine.url)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(service) as made:
        yield made


def client_of(service: Service, key: str = "any") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0, timeout=20)


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
async def test_each_format_can_be_decoded(client: AsyncOpenAI, name: Any) -> None:
    answer = await client.audio.speech.create(model="tts-1", voice="alloy", input=HELLO, response_format=name)
    assert 1.0 < seconds_of(answer.content) < 5.0
    assert answer.response.headers["X-AI-Generated"] == "true"


async def test_mp3_is_the_default_and_pcm_has_24_khz(client: AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(model="x", voice="nova", input=HELLO, instructions="Softly.")
    assert answer.response.headers["Content-Type"] == "audio/mpeg"
    pcm = await client.audio.speech.create(model="x", voice="nova", input=HELLO, response_format="pcm")
    assert len(pcm.content) / 48_000 == pytest.approx(seconds_of(answer.content), abs=0.2)


async def test_sound_is_streamed_and_who_goes_frees_the_engine(client: AsyncOpenAI, engine: Engine) -> None:
    speech = client.audio.speech.with_streaming_response
    async with speech.create(model="tts-1", voice="alloy", input=LONG, response_format="pcm") as answer:
        first = await anext(answer.iter_bytes(4_096))
        assert len(first) == 4_096
        assert engine.active == 1
    await until(lambda: engine.active == 0)


async def test_events_carry_the_sound_and_its_usage(client: AsyncOpenAI) -> None:
    speech = client.audio.speech.with_streaming_response
    told: list[dict[str, Any]] = []
    async with speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input=HELLO, response_format="wav", stream_format="sse"
    ) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        async for line in answer.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
    sound = b"".join(base64.b64decode(event["audio"]) for event in told[:-1])
    assert {event["type"] for event in told[:-1]} == {"speech.audio.delta"}
    assert told[-1]["type"] == "speech.audio.done"
    usage = told[-1]["usage"]
    assert usage["input_tokens"] == len(HELLO)
    assert usage["output_tokens"] == pytest.approx(20 * seconds_of(sound), abs=1)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_a_failure_in_the_midst_is_an_event(client: AsyncOpenAI, engine: Engine) -> None:
    speech = client.audio.speech.with_streaming_response
    told: list[dict[str, Any]] = []
    async with speech.create(model="x", voice="alloy", input=LONG, stream_format="sse") as answer:
        async for line in answer.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                if len(told) == 1:
                    engine.backend.close()
    assert told[-1]["type"] == "error"
    assert (told[-1]["error"]["type"], told[-1]["error"]["code"]) == ("server_error", "draining")


async def test_openai_voices_are_names_of_ours(service: Service) -> None:
    async with service.client.get("/v1/audio/voices") as response:
        voices = (await response.json())["voices"]
    assert {name for voice in voices for name in voice["aliases"]} >= set(NAMES)
    assert {"id", "name", "object", "language"} <= set(voices[0])


async def test_a_voice_may_be_an_object(service: Service) -> None:
    asked = {"model": "x", "input": HELLO, "voice": {"id": "heart"}, "unknown_to_us": 1}
    async with service.client.post("/v1/audio/speech", json=asked) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("asked", "param", "allowed"),
    [
        ({"voice": "nobody"}, "voice", "heart"),
        ({"voice": "../etc"}, "voice", "A-Za-z0-9_-"),
        ({"input": "   "}, "input", "more than blanks"),
        ({"input": "x" * 201}, "input", "at most 200 characters"),
        ({"response_format": "mulaw"}, "response_format", "'mp3', 'opus'"),
        ({"speed": 1.5}, "speed", "one speed"),
        ({"speed": 9}, "speed", "at most 4"),
        ({"stream_format": "tape"}, "stream_format", "'audio' or 'sse'"),
    ],
)
async def test_what_is_wrong_is_a_bad_request(
    start: Start, engine: Engine, asked: dict[str, Any], param: str, allowed: str
) -> None:
    service = await start(engine_url=engine.url, synthesize_max_chars=200)
    async with client_of(service) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.audio.speech.create(**({"model": "tts-1", "voice": "alloy", "input": HELLO} | asked))
    assert refused.value.param == param
    assert (refused.value.type, refused.value.code) == ("invalid_request_error", "invalid")
    assert allowed in refused.value.message
    body = refused.value.response.json()
    assert body["errors"][0]["field"].split(".")[0] == param
    assert (body["status"], body["title"], body["code"]) == (400, "Bad Request", "invalid")


async def test_each_refusal_becomes_the_right_exception(
    start: Start, start_engine: Callable[..., Engine], tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "api-keys.json")
    secret = keys.add("shop")[1]
    engine = start_engine(max_batch_size=1)
    service = await start(
        engine_url=engine.url, api_keys_file=keys.path, open_on_loopback=False, requests_at_once=1, rate_per_minute=5
    )
    asked: Any = {"model": "tts-1", "voice": "alloy", "input": HELLO}
    async with client_of(service, "ttsops_wrong") as client:
        with pytest.raises(openai.AuthenticationError) as unknown:
            await client.audio.speech.create(**asked)
    assert unknown.value.code == "invalid_api_key"
    async with client_of(service, secret) as client:
        with pytest.raises(openai.NotFoundError) as absent:
            await client.models.retrieve("nothing")
        assert absent.value.code == "model_not_found"
        with pytest.raises(openai.RateLimitError) as often:
            await asyncio.gather(*(client.models.list() for _ in range(6)))
    assert often.value.code == "rate_limit_exceeded"
    assert int(often.value.response.headers["Retry-After"]) >= 1


async def test_a_full_or_absent_engine_is_a_server_error(start: Start) -> None:
    async with client_of(await start()) as client:
        with pytest.raises(openai.InternalServerError) as away:
            await client.audio.speech.create(model="x", voice="alloy", input=HELLO)
        assert (away.value.status_code, away.value.code, away.value.type) == (503, "engine_unreachable", "server_error")


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert {"tts-ops", "tts-1", "gpt-4o-mini-tts", "whisper-1", "moonshine-tiny-en"} <= set(names)
    assert (await client.models.retrieve("tts-1")).owned_by == "tts-ops"


@pytest.mark.parametrize("options", [{}, {"model": "anything-at-all", "response_format": "pcm"}, {"model": "tts-1"}])
async def test_livekits_own_plugin_speaks(service: Service, options: dict[str, Any]) -> None:
    """With its own default voice and model: sse; with tts-1: the bytes of an mp3."""
    tts = livekit_openai.TTS(base_url=f"{service.url}/v1", api_key="any", **options)
    try:
        frame = await tts.synthesize(HELLO).collect()
    finally:
        await tts.aclose()
    assert frame.sample_rate == 24_000
    assert 1.0 < frame.duration < 5.0
