import asyncio
import io
import struct
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

import aiohttp
import pytest
from fastapi import FastAPI

from tts_plugin.client import EngineClient
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.server import MAX_BODY_BYTES, include_routes

LONG = " ".join(f"Sentence number {n} tells you something about the weather today." for n in range(1, 16))


@pytest.fixture
async def http(server_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server_url, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


async def test_synthesize_gives_a_whole_wav_file(http: aiohttp.ClientSession) -> None:
    response = await http.post("/synthesize", json={"text": "Hello there."})
    assert response.status == 200
    assert response.content_type == "audio/wav"
    with wave.open(io.BytesIO(await response.read())) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.getnframes() > 10_000


async def test_synthesize_gives_the_same_samples_as_pcm(http: aiohttp.ClientSession) -> None:
    request = {"text": "Hello there.", "seed": 1}
    whole = await (await http.post("/synthesize", json=request)).read()
    bare = await (await http.post("/synthesize", json={**request, "output_format": "pcm"})).read()
    assert whole[44:] == bare


@pytest.mark.parametrize("language", ["en", "en-GB", None])
async def test_a_language_that_the_voice_speaks_is_taken(http: aiohttp.ClientSession, language: str | None) -> None:
    response = await http.post("/synthesize", json={"text": "Hello there.", "language": language})
    assert response.status == 200


async def test_a_long_text_is_synthesised_whole(http: aiohttp.ClientSession) -> None:
    body = await (await http.post("/synthesize", json={"text": LONG, "output_format": "pcm"})).read()
    assert len(body) > 2 * 24_000 * 35


async def test_streamed_audio_begins_before_it_is_complete(http: aiohttp.ClientSession) -> None:
    response = await http.post("/synthesize", json={"text": LONG, "stream": True})
    head = await response.content.readexactly(44)
    assert head[:4] == b"RIFF"
    assert struct.unpack_from("<I", head, 40) == (0xFFFFFFFF,)
    chunks = [chunk async for chunk in response.content.iter_any()]
    assert len(chunks) > 3


async def test_a_client_that_leaves_frees_its_slot(http: aiohttp.ClientSession, backend: EmbeddedBackend) -> None:
    response = await http.post("/synthesize", json={"text": LONG * 20, "stream": True})
    await response.content.readexactly(44)
    response.close()
    async with asyncio.timeout(10):
        while backend.statistics().active:
            await asyncio.sleep(0.01)
    assert backend.statistics().cancelled_total == 1


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"text": "Hi.", "voice_id": "bob"}, "voice_id", "heart"),
        ({"text": "Hi.", "output_format": "ogg"}, "output_format", "wav"),
        ({"text": ""}, "text", "at least 1"),
        ({"text": "  \n"}, "text", "blank"),
        ({"text": 7}, "text", "string"),
        ({}, "text", "required"),
        ({"text": "Hi.", "loud": 1}, "loud", "not permitted"),
        ({"text": "Hi.", "seed": -1}, "seed", "greater than or equal to 0"),
        ({"text": "x " * 10_001}, "text", "20000"),
        ({"text": "Hi.", "language": "tlh"}, "language", "en, de, fr, es"),
        ({"text": "Hi.", "language": "de-DE"}, "language", "heart speaks en"),
    ],
)
async def test_wrong_input_is_answered_with_field_value_and_what_is_allowed(
    http: aiohttp.ClientSession, body: dict[str, object], field: str, allowed: str
) -> None:
    response = await http.post("/synthesize", json=body)
    assert response.status == 422
    answer = await response.json()
    assert answer["field"] == field
    assert allowed in str(answer["allowed"]).lower()
    assert answer["message"]
    if isinstance(body.get(field), str):
        assert answer["value"] == str(body[field])[:200]


@pytest.mark.parametrize("body", [b"no json", b'{"text":"\\ud800","voice_id":"\\ud800"}', b"[1]", b""])
async def test_a_broken_body_is_answered_with_422(http: aiohttp.ClientSession, body: bytes) -> None:
    response = await http.post("/synthesize", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 422


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_refused(http: aiohttp.ClientSession, chunked: bool) -> None:
    body = b" " * (MAX_BODY_BYTES + 1)

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    response = await http.post(
        "/synthesize", data=pieces() if chunked else body, headers={"Content-Type": "application/json"}
    )
    assert response.status == 413


async def test_a_full_engine_answers_503_with_retry_after(
    make_backend: Callable[..., EmbeddedBackend], serve: Callable[..., AbstractContextManager[str]]
) -> None:
    with serve(make_backend(max_batch_size=1)) as url:
        client = EngineClient(url)
        utterance = await client.say()
        await anext(utterance)
        async with aiohttp.ClientSession() as session:
            response = await session.post(f"{url}/synthesize", json={"text": "Hi."})
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json())["code"] == "at_capacity"
        await client.aclose()


async def test_voices_are_listed_with_their_aliases(http: aiohttp.ClientSession) -> None:
    voices = (await (await http.get("/voices")).json())["voices"]
    assert voices[0]["id"] == "heart"
    assert {"default", "en-emma_woman", "alloy"} <= set(voices[0]["aliases"])


async def test_health_says_who_speaks_and_how_full_it_is(http: aiohttp.ClientSession) -> None:
    health = await (await http.get("/health")).json()
    assert (health["status"], health["backend"], health["device"], health["active"]) == ("ok", "embedded", "cpu", 0)
    assert health["slots"] >= 8


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
async def test_probes_of_a_working_engine_are_good(http: aiohttp.ClientSession, path: str) -> None:
    assert (await http.get(path)).status == 200


async def test_an_engine_whose_threads_are_gone_is_not_ready(
    http: aiohttp.ClientSession, backend: EmbeddedBackend
) -> None:
    backend.close()
    assert (await http.get("/readyz")).status == 503
    assert (await http.get("/livez")).status == 503
    assert (await (await http.get("/health")).json())["status"] == "lost"


async def test_metrics_count_how_utterances_ended(http: aiohttp.ClientSession) -> None:
    await (await http.post("/synthesize", json={"text": "Hello there."})).read()
    await http.post("/synthesize", json={"text": "Hello there.", "voice_id": "bob"})
    text = await (await http.get("/metrics")).text()
    assert 'tts_requests_total{status="done"} 1.0' in text
    assert 'tts_requests_total{status="unknown_voice"} 1.0' in text
    assert "tts_time_to_first_audio_seconds_count 1.0" in text
    assert "tts_request_duration_seconds_count 1.0" in text
    for name in ("tts_slots", "tts_active_utterances 0.0", "tts_model_load_time_seconds", "tts_underrun_total 0.0"):
        assert f"\n{name}" in text


def test_the_routes_can_live_in_another_app(backend: EmbeddedBackend) -> None:
    app = FastAPI()
    include_routes(app, backend, probes=False)
    paths = set(app.openapi()["paths"])
    assert {"/synthesize", "/voices"} <= paths
    assert not {"/health", "/metrics"} & paths
