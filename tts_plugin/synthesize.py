"""POST /synthesize: a whole text in, one audio file out, at once or as it is made.

For scripts and tests that want no protocol. Knows HTTP and the back-end's seat, no voice.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import wave
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tts_plugin import voices
from tts_plugin.engine.backend import Backend, Event, Refused
from tts_plugin.metrics import EngineMetrics
from tts_plugin.protocol import BYTES_PER_SAMPLE, Audio, Done, Failed, FailureCode, Say

_EVENT_S = 30.0  # longest wait for the next piece of audio
_UNKNOWN_LENGTH = 0xFFFFFFFF  # in a WAV header: until the end of the stream
_STATUS: dict[FailureCode, int] = {
    "at_capacity": 503,
    "draining": 503,
    "unknown_voice": 422,
    "too_long": 422,
    "bad_message": 422,
    "timed_out": 504,
    "engine_error": 500,
}
# bad_message: all else that it can be about was looked at before
_FIELD: dict[FailureCode, str] = {"unknown_voice": "voice_id", "too_long": "text", "bad_message": "language"}


class SynthesizeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, description="What to say.")
    voice_id: str = Field("default", max_length=64, description="A voice id or alias; GET /voices lists them.")
    output_format: Literal["wav", "pcm"] = Field("wav", description="pcm: pcm_s16le, mono, no header.")
    stream: bool = Field(False, description="Send audio as it is made; a WAV header then holds no length.")
    language: str | None = Field(
        None, max_length=35, description="What the text is written in, such as en or de-DE; left out: the voice's own."
    )
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="Same seed and text, same audio.")

    @field_validator("text")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("the text is blank")
        return text


def synthesize_router(backend: Backend, metrics: EngineMetrics) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/synthesize", response_class=Response, responses={200: {"content": {"audio/wav": {}, "audio/pcm": {}}}}
    )
    async def synthesize(request: SynthesizeRequest) -> Response:
        speech = Speech(metrics, request)
        try:
            chunks = speech.chunks()
            first = await anext(chunks, b"")
        except Refused as refused:
            return _refusal(refused, request, backend)
        if request.stream:
            return _streamed(request, backend, first, chunks)
        try:
            return _whole(request, backend, first + b"".join([chunk async for chunk in chunks]))
        except Refused as refused:
            return _refusal(refused, request, backend)

    return router


class Speech:
    """One utterance of the back-end in this process, as chunks of PCM."""

    def __init__(self, metrics: EngineMetrics, request: SynthesizeRequest) -> None:
        self._metrics = metrics
        self._request = request
        self._events: asyncio.Queue[Event] = asyncio.Queue()  # bounded by the credit that is given back below

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises Refused for every failure. Leaving the iteration cancels the utterance."""
        loop = asyncio.get_running_loop()

        def emit(event: Event) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and the client gone
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        request = self._request
        say = Say(
            "synthesize",
            voice=request.voice_id,
            klass="file",
            pace="fast",
            seed=request.seed,
            language=request.language,
        )
        utterance = self._metrics.admit(say, emit)
        try:
            utterance.feed(self._request.text)
            utterance.end()
            while not isinstance(event := await self._next(), Done):
                if isinstance(event, Failed):
                    raise Refused(event.code, event.message, event.retryable, event.retry_after_s)
                if isinstance(event, Audio):
                    utterance.credit(event.samples)
                    yield event.pcm
        finally:
            utterance.cancel()

    async def _next(self) -> Event:
        try:
            async with asyncio.timeout(_EVENT_S):
                return await self._events.get()
        except TimeoutError:
            raise Refused("timed_out", f"no audio came for {_EVENT_S:g} s", retryable=True) from None


def invalid(field: str, value: object, allowed: object, message: str) -> JSONResponse:
    """422: what was given, and what is allowed."""
    given = (
        value if isinstance(value, int | float | bool | None) else str(value)[:200].encode(errors="replace").decode()
    )
    return JSONResponse(
        {"code": "invalid", "message": message, "field": field, "value": given, "allowed": allowed}, status_code=422
    )


def _refusal(refused: Refused, request: SynthesizeRequest, backend: Backend) -> JSONResponse:
    status = _STATUS[refused.code]
    field = _FIELD.get(refused.code)
    if field:
        allowed = voices.names(backend.voices) if field == "voice_id" else refused.message
        return invalid(field, getattr(request, field), allowed, refused.message)
    headers = {"Retry-After": str(max(1, round(refused.retry_after_s or 1)))} if status == 503 else None
    body = {"code": refused.code, "message": refused.message, "retry_after_s": refused.retry_after_s}
    return JSONResponse(body, status_code=status, headers=headers)


def _streamed(request: SynthesizeRequest, backend: Backend, first: bytes, rest: AsyncIterator[bytes]) -> Response:
    async def body() -> AsyncIterator[bytes]:
        if request.output_format == "wav":
            yield wav_header(backend.sample_rate_hz)
        yield first
        async for chunk in rest:
            yield chunk

    return StreamingResponse(body(), media_type=f"audio/{request.output_format}", headers=_headers(backend))


def _whole(request: SynthesizeRequest, backend: Backend, pcm: bytes) -> Response:
    body = to_wav(pcm, backend.sample_rate_hz) if request.output_format == "wav" else pcm
    return Response(body, media_type=f"audio/{request.output_format}", headers=_headers(backend))


def _headers(backend: Backend) -> dict[str, str]:
    return {"X-Sample-Rate-Hz": str(backend.sample_rate_hz), "X-AI-Generated": "true"}


def to_wav(pcm: bytes, rate_hz: int) -> bytes:
    """A WAV file of mono pcm_s16le."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(BYTES_PER_SAMPLE)
        out.setframerate(rate_hz)
        out.writeframes(pcm)
    return file.getvalue()


def wav_header(rate_hz: int) -> bytes:
    """The header of a WAV whose length is not known yet."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", _UNKNOWN_LENGTH, b"WAVE", b"fmt ", 16, 1, 1),
        *(rate_hz, rate_hz * BYTES_PER_SAMPLE, BYTES_PER_SAMPLE, 8 * BYTES_PER_SAMPLE),
        *(b"data", _UNKNOWN_LENGTH),
    )
