"""POST /v1/audio/transcriptions: forms that are wrong, too large or too slow, and a service that is full."""

from __future__ import annotations

import asyncio
import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from http_parts import NOWHERE, Service, Start
from upload_parts import MULTIPART, form, sent, wav

from worker.api import body, transcriptions, upload
from worker.api.heard import Said, hear
from worker.api.transcriptions import PATH


@pytest.fixture
async def service(start: Start, models_url: str) -> Service:
    return await start(models_url=models_url)


WRONG_FIELDS: list[tuple[dict[str, str], str, str]] = [
    ({}, "model", "must be given"),
    ({"model": "x", "language": "de"}, "language", "English only"),
    ({"model": "x", "language": "-"}, "language", "matches"),
    ({"model": "x", "response_format": "pdf"}, "response_format", "'json', 'text'"),
    ({"model": "x", "temperature": "7"}, "temperature", "at most 1"),
    ({"model": "x", "stream": "true"}, "stream", "'false'"),
    ({"model": "x", "timestamp_granularities[]": "word"}, "timestamp_granularities[]", "'segment'"),
    ({"model": "x", "prompt": "x" * 9_000}, "prompt", "at most 8192 bytes"),
]


async def test_a_wrong_field_is_named(service: Service) -> None:
    for fields, param, allowed in WRONG_FIELDS:
        status, told = await sent(service, form(b"x", **fields))
        assert (status, told["error"]["param"]) == (400, param)
        assert allowed in told["error"]["message"], fields


@pytest.mark.parametrize("file", [None, b""])
async def test_a_form_without_a_file_is_refused(service: Service, file: bytes | None) -> None:
    status, told = await sent(service, form(file, model="x"))
    assert (status, told["error"]["param"]) == (400, "file")


NO_FORMS = [
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
]


async def test_what_is_no_form_is_refused(service: Service) -> None:
    for content_type, content in NO_FORMS:
        status, told = await sent(service, content, Content_Type=content_type)
        assert (status, told["error"]["type"]) == (400, "invalid_request_error"), content


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


async def test_who_goes_while_a_file_is_heard_makes_room(
    start: Start, models_url: str, speech: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def noted(*arguments: Any) -> AsyncIterator[Said]:
        async for said in hear(*arguments):
            begun.set()
            yield said

    monkeypatch.setattr(transcriptions, "AT_ONCE", 1)
    monkeypatch.setattr(transcriptions, "hear", noted)
    service = await start(models_url=models_url)
    first = asyncio.create_task(sent(service, form(wav(np.tile(speech, 40), 24_000), model="x")))
    async with asyncio.timeout(20):
        await begun.wait()
    assert (await sent(service, form(b"x", model="x")))[0] == 503
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    async with asyncio.timeout(5):
        while (await sent(service, form(b"x", model="x")))[0] == 503:
            await asyncio.sleep(0.02)


async def test_without_a_recogniser_it_says_so(start: Start, speech: Any) -> None:
    away = await start(models_url=NOWHERE)
    status, told = await sent(away, form(wav(speech, 24_000), model="x"))
    assert (status, told["code"]) == (503, "stt_unreachable")
    unset = await start(stt_provider="openai", openai_api_key=None)
    status, told = await sent(unset, form(wav(speech, 24_000), model="x"))
    assert (status, told["code"]) == (503, "no_recogniser")
