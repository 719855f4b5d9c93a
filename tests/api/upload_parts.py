"""Sound files and forms for tests of /v1/audio/transcriptions."""

from __future__ import annotations

import io
import wave
from typing import Any

import aiohttp
import av
import numpy as np
from http_parts import Service

from worker.api.transcriptions import PATH

SAID = "The library opens at nine in the morning. It closes at six in the evening."


MULTIPART = "multipart/form-data; boundary=b"


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
