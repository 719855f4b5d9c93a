"""POST /synthesize with formats, rates, long texts, seeds, times of words and Idempotency-Keys; the real engine."""

from __future__ import annotations

import asyncio
import email
import io
import json
import re
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from http_parts import Engine, Service, Start, until
from sound_parts import events, seconds_of, sound_of

from worker.api.long_text import PART_CHARS
from worker.keys import KeyFile

HELLO = "Hello, this is a short sentence."
PARAGRAPH = "The library opens at nine in the morning on weekdays. It closes at six in the evening, every day. "
LONG = PARAGRAPH * 25
MEDIA_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "flac": "audio/flac",
    "aac": "audio/aac",
}


async def spoken(service: Service, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, bytes]:
    async with service.client.post("/synthesize", json={"text": HELLO} | body, headers=headers) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("stream", [True, False])
async def test_each_format_is_what_it_says(start: Start, engine: Engine, stream: bool) -> None:
    service = await start(engine_url=engine.url)
    for name, media_type in MEDIA_TYPES.items():
        asked = {"text": HELLO, "output_format": name, "stream": stream}
        async with service.client.post("/synthesize", json=asked) as response:
            body = await response.read()
        assert (response.status, response.headers["Content-Type"]) == (200, media_type)
        assert 1.0 < seconds_of(body) < 5.0


@pytest.mark.parametrize("name", ["mp3", "opus", "flac", "aac", "mulaw"])
async def test_a_streamed_format_begins_while_it_is_being_made(start: Start, engine: Engine, name: str) -> None:
    service = await start(engine_url=engine.url)
    asked = {"text": LONG * 4, "output_format": name, "stream": True}
    async with service.client.post("/synthesize", json=asked) as response:
        await response.content.readexactly(1_000)
        assert engine.active == 1


async def test_a_rate_is_kept(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    _, body = await spoken(service, sample_rate=16_000)
    with wave.open(io.BytesIO(body)) as sound:
        assert sound.getframerate() == 16_000
        assert 44 + 2 * sound.getnframes() == len(body)


@pytest.mark.parametrize(
    ("asked", "field", "allowed"),
    [
        ({"output_format": "opus", "sample_rate": 44_100}, "sample_rate", "with opus: 8000, 16000, 24000, 48000"),
        ({"speed": 1.5}, "speed", "one speed"),
        ({"sample_rate": 11_025}, "sample_rate", "8000, 16000, 22050, 24000, 44100 or 48000"),
        ({"seed": -1}, "seed", "at least 0"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    start: Start, engine: Engine, asked: dict[str, Any], field: str, allowed: str
) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": HELLO} | asked) as response:
        assert response.status == 422
        (error,) = (await response.json())["errors"]
    assert error["field"] == field
    assert allowed in error["allowed"]


async def test_the_same_seed_gives_the_same_samples(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    one, again, other = [(await spoken(service, output_format="pcm", seed=seed))[1] for seed in (7, 7, 8)]
    assert one == again != other


async def test_a_long_text_has_no_seam(start: Start, engine: Engine) -> None:
    assert len(LONG) > PART_CHARS
    service = await start(engine_url=engine.url)
    _, body = await spoken(service, text=LONG, output_format="pcm")
    samples = np.frombuffer(body, "<i2").astype(np.int32)
    loud = np.flatnonzero(np.abs(samples) > 104)
    pauses_s = np.diff(loud) / 24_000
    between_sentences = pauses_s[pauses_s > 0.2]
    assert between_sentences.max() < 0.45  # the parts' own joint is no longer than any other
    assert len(between_sentences) > 40


async def test_words_have_their_times_across_the_parts_of_a_long_text(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": LONG, "timestamps": True}) as response:
        assert response.content_type == "text/event-stream"
        told = [event async for event in events(response)]
    words = [word for name, data in told if name == "words" for word in data["words"]]
    assert "".join(LONG[word["source_start"] : word["source_end"]] for word in words) == LONG
    assert [word["start_s"] for word in words] == sorted(word["start_s"] for word in words)
    assert told[0] == ("started", {"media_type": "audio/wav", "sample_rate_hz": 24_000})
    assert told[-1] == ("done", {"seconds": pytest.approx(seconds_of(sound_of(told)), abs=0.01)})
    assert words[-1]["end_s"] == pytest.approx(told[-1][1]["seconds"], abs=0.01)


async def test_words_and_sound_come_as_parts_when_those_are_accepted(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    asked = {"text": LONG, "timestamps": True, "output_format": "pcm", "seed": 3}
    accept = {"Accept": "application/json;q=0.5, multipart/mixed"}
    async with service.client.post("/synthesize", json=asked, headers=accept) as response:
        assert response.headers["X-AI-Generated"] == "true"
        head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
        body = await response.read()
    parts = list(email.message_from_bytes(head + body).walk())[1:]
    names = [part.get_param("name", header="content-disposition") for part in parts]
    told = [(name, part.get_payload(decode=True)) for name, part in zip(names, parts, strict=True)]
    words = [word for name, data in told if name == "words" for word in json.loads(data)["words"]]
    assert "".join(LONG[word["source_start"] : word["source_end"]] for word in words) == LONG
    _, plain = await spoken(service, text=LONG, output_format="pcm", seed=3)
    assert b"".join(_sound(body)) == plain
    assert (names[0], names[1], names[-1]) == ("started", "words", "done")
    assert {part.get_content_type() for part in parts} == {"application/json", "audio/pcm"}


def _sound(body: bytes) -> Iterator[bytes]:
    """Of each part that holds some, by its length: the library for mail takes line ends from binary parts."""
    for head in re.finditer(rb'name="audio"\r\nContent-Length: (\d+)\r\n\r\n', body):
        yield body[head.end() : head.end() + int(head[1])]


async def test_events_tell_of_a_failure(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    async with service.client.post("/synthesize", json={"text": LONG * 4, "timestamps": True}) as response:
        told = []
        async for name, data in events(response):
            if not told:
                await asyncio.to_thread(engine.backend.close)
            told.append((name, data))
    name, problem = told[-1]
    assert (name, problem["code"], problem["status"]) == ("error", "draining", 503)


async def test_a_key_gives_the_same_answer_again(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    key = {"Idempotency-Key": "a-key"}
    _, first = await spoken(service, key)
    admitted = engine.backend.statistics().admitted_total
    async with service.client.post("/synthesize", json={"text": HELLO}, headers=key) as response:
        assert response.headers["Idempotency-Replayed"] == "true"
        assert await response.read() == first
    assert engine.backend.statistics().admitted_total == admitted


async def test_a_key_with_another_text_is_refused(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    key = {"Idempotency-Key": "a-key"}
    await spoken(service, key)
    status, body = await spoken(service, key, text="Something else.")
    assert status == 422
    assert b"key_reused" in body


async def test_a_key_whose_request_is_being_made_is_told_to_wait(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    key = {"Idempotency-Key": "a-key"}
    making = asyncio.create_task(spoken(service, key, text=LONG * 4))
    await until(lambda: engine.active == 1)
    status, body = await spoken(service, key, text=LONG * 4)
    assert (status, b"in_progress" in body) == (409, True)
    making.cancel()
    await until(lambda: engine.active == 0)
    assert (await spoken(service, key))[0] == 200  # what was not answered is not kept
    await asyncio.gather(making, return_exceptions=True)


async def test_nobody_gets_what_another_asked_for(start: Start, engine: Engine, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "api-keys.json")
    secrets = {name: keys.add(name)[1] for name in ("shop", "bank")}
    service = await start(engine_url=engine.url, api_keys_file=keys.path, open_on_loopback=False)
    for name, secret in secrets.items():
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "a-key"}
        async with service.client.post("/synthesize", json={"text": f"Of the {name}."}, headers=headers) as response:
            assert response.status == 200
            assert "Idempotency-Replayed" not in response.headers


async def test_a_stream_takes_no_key(start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url)
    status, body = await spoken(service, {"Idempotency-Key": "a-key"}, stream=True)
    assert status == 422
    assert b"Idempotency-Key" in body


@pytest.mark.parametrize("name", ["wav", "mp3", "opus"])
async def test_a_reader_who_goes_frees_the_engine_within_300_ms(start: Start, engine: Engine, name: str) -> None:
    service = await start(engine_url=engine.url)
    asked = {"text": LONG * 4, "output_format": name, "stream": True}
    response = await service.client.post("/synthesize", json=asked)
    await response.content.readexactly(1_000)
    gone_s = time.monotonic()
    response.close()
    await until(lambda: engine.active == 0)
    assert time.monotonic() - gone_s < 0.6  # 0.3, and as much for a busy machine
