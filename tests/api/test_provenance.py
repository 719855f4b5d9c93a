"""Whole files say that a model made them, and a reader sees when somebody changed them."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from typing import Any

import c2pa
import pytest
from http_parts import Engine, Start, settings_for_test

from worker.api.provenance import Signer
from worker.credential import load_or_make
from worker.settings import SettingsError

MODEL = "trainedAlgorithmicMedia"


def read(sound: bytes, media_type: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(c2pa.Reader(media_type, io.BytesIO(sound)).json())
    return said


@pytest.mark.parametrize(
    ("output_format", "media_type"), [("wav", "audio/wav"), ("mp3", "audio/mpeg"), ("flac", "audio/flac")]
)
async def test_a_whole_file_carries_a_manifest_that_reads(
    start: Start, engine: Engine, tmp_path: Path, output_format: str, media_type: str
) -> None:
    service = await start(engine_url=engine.url, c2pa=True, c2pa_key_file=tmp_path / "c2pa.pem")
    asked = {"text": "Hello there.", "output_format": output_format}
    async with service.client.post("/synthesize", json=asked) as response:
        assert response.status == 200
        sound = await response.read()
        assert int(response.headers["Content-Length"]) == len(sound)
        assert response.headers["X-AI-Generated"] == "true"
    said = read(sound, media_type)
    assert said["validation_state"] == "Valid"
    assert MODEL in json.dumps(said)
    assert "Hello" not in json.dumps(said)
    if output_format == "wav":
        with wave.open(io.BytesIO(sound)) as file:
            assert file.getnframes() > 1_000


async def test_a_changed_file_is_seen(start: Start, engine: Engine, tmp_path: Path) -> None:
    service = await start(engine_url=engine.url, c2pa=True, c2pa_key_file=tmp_path / "c2pa.pem")
    async with service.client.post("/synthesize", json={"text": "Hello there."}) as response:
        sound = bytearray(await response.read())
    at = sound.index(b"data") + 2_000
    sound[at] ^= 1
    assert read(bytes(sound), "audio/wav")["validation_state"] == "Invalid"


async def test_a_streamed_answer_and_a_refusal_pass(start: Start, engine: Engine, tmp_path: Path) -> None:
    service = await start(engine_url=engine.url, c2pa=True, c2pa_key_file=tmp_path / "c2pa.pem")
    async with service.client.post("/synthesize", json={"text": "Hi.", "stream": True}) as response:
        assert response.status == 200
        assert b"c2pa" not in await response.read()
    async with service.client.post("/synthesize", json={"text": ""}) as response:
        assert response.status == 422


def test_the_key_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "c2pa.pem"
    first = load_or_make(path)
    assert load_or_make(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make(tmp_path / "other.pem").key != first.key


@pytest.mark.parametrize("text", ["", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c2pa.pem"
    path.write_text(text)
    with pytest.raises(SettingsError, match="C2PA_KEY_FILE"):
        Signer(settings_for_test(c2pa_key_file=path))
