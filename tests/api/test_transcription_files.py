"""POST /v1/audio/transcriptions and files that are broken, too long, or made to do harm: each gets one clear answer."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from http_parts import Service, Start
from openai import AsyncOpenAI
from upload_parts import as_file, wav

from worker.api.formats import decoder


@pytest.fixture
async def service(start: Start, models_url: str) -> Service:
    return await start(models_url=models_url)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0, timeout=30) as made:
        yield made


def header_only(size: int) -> bytes:
    return wav(np.zeros(10))[:size]


def one_hertz() -> bytes:
    """Seconds of it are samples of it: 4 MB would become 64 GB."""
    return wav(np.ones(2_000_000), rate_hz=1)


def huge_index() -> bytes:
    """An mp4 of 600 bytes whose table of samples would have 150 million entries."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        inside = b"".join(parts)
        return struct.pack(">I4s", 8 + len(inside), kind) + inside

    samples = 150_000_000
    entry = box(b"mp4a", bytes(6), struct.pack(">H", 1), bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, 8_000 << 16))
    table = box(
        b"stbl",
        box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        box(b"stts", bytes(4), struct.pack(">III", 1, samples, 2)),
        box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, samples, 1)),
        box(b"stsz", bytes(4), struct.pack(">II", 1, samples)),
        box(b"stco", bytes(4), struct.pack(">II", 1, 8)),
    )
    handler = box(b"hdlr", bytes(8), b"soun", bytes(13))
    times = box(b"mdhd", bytes(12), struct.pack(">II", 8_000, 80_000), bytes(4))
    media = box(b"mdia", times, handler, box(b"minf", table))
    track = box(b"trak", box(b"tkhd", bytes(4), bytes(8), struct.pack(">I", 1), bytes(68)), media)
    header = box(b"mvhd", bytes(12), struct.pack(">II", 8_000, 80_000), bytes(80))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", header, track) + box(b"mdat", bytes(64))


BAD_FILES = {
    "text": (b"this is no sound " * 100, "it is no sound file; allowed: wav, mp3"),
    "zeros": (bytes(100_000), "no sound"),
    "a header alone": (header_only(44), "no sound in it"),
    "half a header": (header_only(30), "no sound"),
    "a playlist": (b"#EXTM3U\n#EXTINF:10,\nhttp://169.254.169.254/latest\n#EXT-X-ENDLIST\n", "no sound file"),
    "a list of files": (b"ffconcat version 1.0\nfile /etc/passwd\n", "no sound file"),
    "one hertz": (one_hertz(), "its sample rate is 1 Hz; allowed: 4000 to 192000"),
    "too many channels": (wav(np.zeros(32_000), channels=16), "it has 16 channels; allowed: 1 to 8"),
    "a huge index": (huge_index(), ""),
}


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file_is_named(client: AsyncOpenAI, name: str) -> None:
    content, why = BAD_FILES[name]
    with pytest.raises(openai.BadRequestError) as refused:
        await client.audio.transcriptions.create(file=("a.wav", content), model="x")
    assert refused.value.param == "file"
    assert why in refused.value.message


async def test_ten_minutes_are_the_most(client: AsyncOpenAI) -> None:
    """A file of 2 MB that says nothing of how long it is."""
    silence = as_file(np.zeros(16_000 * 620, np.int16), "flac", "flac", 16_000)
    assert len(silence) < 2_000_000
    with pytest.raises(openai.BadRequestError, match="longer than 10 minutes"):
        await client.audio.transcriptions.create(file=("a.flac", silence), model="x")


async def test_a_damaged_file_is_heard_as_far_as_it_goes(client: AsyncOpenAI, speech: Any) -> None:
    whole = as_file(speech, "mp3", "libmp3lame")
    heard = await client.audio.transcriptions.create(file=("a.mp3", whole[: len(whole) * 3 // 5]), model="x")
    assert "library" in heard.text.lower()
    noise = bytearray(whole)
    noise[2_000:2_400] = bytes(400)
    heard = await client.audio.transcriptions.create(file=("a.mp3", bytes(noise)), model="x")
    assert "evening" in heard.text.lower()


async def test_a_decoder_that_does_not_end_is_ended(
    client: AsyncOpenAI, speech: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.api.decoding.DECODE_TIMEOUT_S", 0.001)
    with pytest.raises(openai.BadRequestError, match="takes more than"):
        await client.audio.transcriptions.create(file=("a.wav", wav(speech, 24_000)), model="x")


def test_the_decoder_has_bounds_of_its_own() -> None:
    """Whatever FFmpeg makes of a file: here it wants 2 GiB."""
    folder = str(Path(decoder.__file__).parent)
    program = f"import sys; sys.path[:0] = [{folder!r}]; import decoder; decoder.decode = lambda *_: bytearray(2 << 30)"
    ended = subprocess.run(
        [sys.executable, "-c", f"{program}; sys.exit(decoder.main())"], capture_output=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stderr) == (2, b"it wants more memory than a sound file may\n")


async def test_a_decoder_that_dies_is_the_files_fault(
    client: AsyncOpenAI, speech: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deadly = tmp_path / "deadly.py"
    deadly.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(decoder, "__file__", str(deadly))
    with pytest.raises(openai.BadRequestError, match="it cannot be decoded; allowed: wav"):
        await client.audio.transcriptions.create(file=("a.wav", wav(speech, 24_000)), model="x")
