"""A form with a file (multipart/form-data), read as it comes: the file goes to disk, never into memory.

aiohttp parses; python-multipart would be one more package for the same. How long the whole body may be is body.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import IO

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from starlette.requests import ClientDisconnect

from worker.api.errors import ApiError, ClientGone, Wrong, invalid

MAX_FIELDS = 32
FIELD_BYTES = 8 * 1024
_AHEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_MALFORMED = (ValueError, AssertionError, RuntimeError, HttpProcessingError, EOFError)


async def receive_form(
    headers: Mapping[str, str], body: AsyncIterator[bytes], file: IO[bytes], *, name: str = "file"
) -> dict[str, list[str]]:
    """The form's fields, each with all of its values; the one called `name` is written into `file`.

    ApiError when it is no such form, or has no file.
    """
    content_type = headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise _malformed()
    flow = _Flow()
    content = aiohttp.StreamReader(flow, _AHEAD_BYTES, loop=asyncio.get_running_loop())
    pumping = asyncio.create_task(_pump(body, content, flow), name="upload-pump")
    try:
        form = await _read(aiohttp.MultipartReader({"Content-Type": content_type}, content), file, name)
        while not content.at_eof():  # what comes after the form's end
            await content.readany()
        await pumping
        return form
    except ClientDisconnect as error:
        raise ClientGone from error
    except _MALFORMED as error:
        raise _malformed() from error
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)


async def _read(reader: aiohttp.MultipartReader, file: IO[bytes], name: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    seen = 0
    while (part := await reader.next()) is not None:
        seen += 1
        if not isinstance(part, aiohttp.BodyPartReader) or part.name is None or seen > MAX_FIELDS:
            raise _malformed()
        if part.name != name:
            fields.setdefault(part.name, []).append(await _text(part))
            continue
        if file.tell():
            raise invalid(Wrong(name, None, "one file"))
        while piece := await part.read_chunk(_PIECE_BYTES):
            file.write(piece)
    if not file.tell():
        raise invalid(Wrong(name, None, "must be given, and not be empty"))
    return fields


async def _text(part: aiohttp.BodyPartReader) -> str:
    value = bytearray()
    while piece := await part.read_chunk(FIELD_BYTES + 1):
        value += piece
        if len(value) > FIELD_BYTES:
            raise invalid(Wrong(str(part.name), None, f"at most {FIELD_BYTES} bytes"))
    return value.decode()


class _Flow(BaseProtocol):
    """Says when enough lies ahead of the parser."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.ready = asyncio.Event()
        self.ready.set()

    @property
    def connected(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.ready.clear()

    def resume_reading(self, resume_parser: bool = True) -> None:
        self.ready.set()


async def _pump(body: AsyncIterator[bytes], content: aiohttp.StreamReader, flow: _Flow) -> None:
    """A failure of the body is the parser's too."""
    try:
        async for piece in body:
            content.feed_data(piece)
            await flow.ready.wait()
        content.feed_eof()
    except Exception as error:
        content.set_exception(error)
        raise


def _malformed() -> ApiError:
    return invalid(
        Wrong("body", None, f"multipart/form-data with at most {MAX_FIELDS} fields, the sound in the field file")
    )
