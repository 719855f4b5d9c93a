"""POST /v1/audio/transcriptions: OpenAI's own client sends files, the embedded recogniser hears them."""

from __future__ import annotations

import asyncio
import io
import re
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import openai
import pytest
from http_parts import NOWHERE, Engine, Service, Start
from livekit import rtc
from livekit.plugins import openai as livekit_openai
from openai import AsyncOpenAI

from worker.api import body, transcriptions, upload
from worker.api.formats import decoder
from worker.api.transcriptions import PATH

SAID = "The library opens at nine in the morning. It closes at six in the evening."


@pytest.fixture
async def service(start: Start, models_url: str) -> Service:
    return await start(models_url=models_url)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def speech(hibari: Any) -> np.ndarray[Any, np.dtype[np.int16]]:
    """SAID at 24 kHz."""
    from hibari import Hibari

    samples = np.asarray(Hibari(voice="heart", threads=1)(SAID), np.float32).reshape(-1)
    return (np.clip(samples, -1, 1) * 32_767).astype(np.int16)


def as_file(samples: np.ndarray[Any, Any], container: str, codec: str, rate_hz: int = 24_000) -> bytes:
    made = io.BytesIO()
    with av.open(made, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate_hz)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate_hz
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return made.getvalue()


def wav(samples: np.ndarray[Any, Any], rate_hz: int = 16_000, channels: int = 1) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setparams((channels, 2, rate_hz, 0, "NONE", ""))
        out.writeframes(samples.astype("<i2").tobytes())
    return made.getvalue()


def is_said(text: str) -> bool:
    return all(word in text.lower() for word in ("library opens", "morning", "closes", "evening"))


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


# Bad files: each gets one clear answer.


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


# What else can be wrong.


async def sent(service: Service, form: aiohttp.FormData | bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    async with service.client.post(PATH, data=form, headers={k.replace("_", "-"): v for k, v in headers.items()}) as r:
        return r.status, await r.json(content_type=None)


def form(file: bytes | None = b"x", /, **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        made.add_field(name, value)
    if file is not None:
        made.add_field("file", file, filename="a.wav")
    return made


@pytest.mark.parametrize(
    ("fields", "param", "allowed"),
    [
        ({}, "model", "must be given"),
        ({"model": "x", "language": "de"}, "language", "English only"),
        ({"model": "x", "language": "-"}, "language", "matches"),
        ({"model": "x", "response_format": "pdf"}, "response_format", "'json', 'text'"),
        ({"model": "x", "temperature": "7"}, "temperature", "at most 1"),
        ({"model": "x", "stream": "true"}, "stream", "'false'"),
        ({"model": "x", "timestamp_granularities[]": "word"}, "timestamp_granularities[]", "'segment'"),
        ({"model": "x", "prompt": "x" * 9_000}, "prompt", "at most 8192 bytes"),
    ],
)
async def test_a_wrong_field_is_named(service: Service, fields: dict[str, str], param: str, allowed: str) -> None:
    status, told = await sent(service, form(b"x", **fields))
    assert status == 400
    assert told["error"]["param"] == param
    assert allowed in told["error"]["message"]


@pytest.mark.parametrize("file", [None, b""])
async def test_a_form_without_a_file_is_refused(service: Service, file: bytes | None) -> None:
    status, told = await sent(service, form(file, model="x"))
    assert (status, told["error"]["param"]) == (400, "file")


MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--b\r\n"),
        (MULTIPART, b""),
        (MULTIPART, b"nothing like it"),
        (MULTIPART, b"--b\r\nno header\r\n\r\nx\r\n--b--\r\n"),
        (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ncut sho'),
        (MULTIPART, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--b--\r\n'),
        (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 40 + b"--b--\r\n"),
        (MULTIPART, b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n"),
    ],
)
async def test_what_is_no_form_is_refused(service: Service, content_type: str, body: bytes) -> None:
    status, told = await sent(service, body, Content_Type=content_type)
    assert (status, told["error"]["type"]) == (400, "invalid_request_error")


async def test_a_compressed_form_is_not_unpacked(service: Service) -> None:
    status, told = await sent(service, b"x", Content_Type=MULTIPART, Content_Encoding="gzip")
    assert (status, told["code"]) == (415, "unsupported_encoding")


async def test_25_mib_are_the_most(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    status, told = await sent(service, form(bytes(25 * 1024 * 1024 + 1), model="x"))
    assert (status, told["code"]) == (413, "too_large")
    status, told = await sent(service, form(bytes(26 * 1024 * 1024), model="x"))
    assert (status, told["code"]) == (413, "too_large")


async def test_a_file_goes_to_disk_not_into_memory() -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield head
        for _ in range(24 * 16):
            yield bytes(64 * 1024)
        yield b"\r\n--b--\r\n"

    with tempfile.TemporaryFile(buffering=0) as file:
        tracemalloc.start()
        try:
            await upload.receive_form({"content-type": MULTIPART}, body(), file)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert file.tell() == 24 * 1024 * 1024
    assert peak < 4 * 1024 * 1024


async def test_a_form_that_dribbles_in_is_cut_off(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "STREAM_TIMEOUT_S", 0.2)

    async def dribble() -> AsyncIterator[bytes]:
        yield b"--b\r\n"
        await asyncio.sleep(3)
        yield b"--b--\r\n"

    async with service.client.post(PATH, data=dribble(), headers={"Content-Type": MULTIPART}) as response:
        assert response.status == 408


async def test_so_many_files_are_heard_at_once(start: Start, models_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriptions, "AT_ONCE", 1)
    service = await start(models_url=models_url)
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"--b\r\n"
        begun.set()
        await asyncio.sleep(30)

    first = asyncio.create_task(sent(service, slow(), Content_Type=MULTIPART))  # type: ignore[arg-type]
    await begun.wait()
    for _ in range(100):
        status, told = await sent(service, form(model="x"))
        if status == 503:
            break
        await asyncio.sleep(0.02)
    assert (status, told["code"], told["error"]["type"]) == (503, "at_capacity", "server_error")
    first.cancel()  # who goes makes room
    await asyncio.gather(first, return_exceptions=True)

    async def is_free() -> bool:
        return (await sent(service, form(model="x")))[0] == 400

    async with asyncio.timeout(5):
        while not await is_free():
            await asyncio.sleep(0.02)


async def test_without_a_recogniser_it_says_so(start: Start, speech: Any) -> None:
    away = await start(models_url=NOWHERE)
    status, told = await sent(away, form(wav(speech, 24_000), model="x"))
    assert (status, told["code"]) == (503, "stt_unreachable")
    unset = await start(stt_provider="openai", openai_api_key=None)
    status, told = await sent(unset, form(wav(speech, 24_000), model="x"))
    assert (status, told["code"]) == (503, "no_recogniser")
