"""What the tests of sound over HTTP share: server-sent events read as they come, and sound decoded by FFmpeg."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import av


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Name and data of each event, as soon as it is there."""
    name = ""
    while line := (await response.content.readuntil(b"\n")).decode():
        if line.startswith("event: "):
            name = line.removeprefix("event: ").strip()
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
            if name in ("done", "error"):
                return


def sound_of(told: list[tuple[str, dict[str, Any]]]) -> bytes:
    return b"".join(base64.b64decode(data["audio"]) for name, data in told if name == "audio")


def seconds_of(body: bytes) -> float:
    """Of the sound in it, counted by decoding all of it."""
    with av.open(io.BytesIO(body)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
