"""POST /v1/audio/transcriptions: a sound file becomes its words, by the recogniser that STT_PROVIDER names."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from livekit.agents import stt
from livekit.agents.utils import http_context
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, PlainTextResponse

from worker.api import decoding
from worker.api.disconnect import while_connected
from worker.api.errors import ApiError, Wrong, invalid
from worker.api.formats import decoder
from worker.api.heard import Said, hear
from worker.api.openai_speech import ModelName
from worker.api.synthesize import Language
from worker.api.upload import receive_form
from worker.providers import build_stt
from worker.settings import Settings, SettingsError

PATH = "/v1/audio/transcriptions"
FILE_BYTES = 25 * 1024 * 1024
BODY_BYTES = FILE_BYTES + 64 * 1024  # the file, and the form around it
AT_ONCE = 2  # of all askers: each takes a recogniser that calls want too
HEAR_TIMEOUT_S = 600.0

logger = logging.getLogger(__name__)
ResponseFormat = Literal["json", "text", "verbose_json", "srt", "vtt"]


class TranscriptionRequest(BaseModel):
    """The fields of the form beside `file`."""

    model_config = ConfigDict(extra="ignore")

    model: ModelName = Field(description="Any name; the recogniser that is set up hears.")
    language: Language | None = Field(None, description="What is spoken, such as en; the embedded one knows English.")
    prompt: str | None = Field(None, description="Taken and not used.")
    response_format: ResponseFormat = "json"
    temperature: float | None = Field(None, ge=0, le=1, description="Taken and not used.")
    stream: Literal["false", "False", "0"] | None = Field(None, description="Answers are whole.")
    timestamp_granularities: Annotated[list[Literal["segment"]], Field(max_length=1)] | None = Field(
        None, validation_alias=AliasChoices("timestamp_granularities[]", "timestamp_granularities")
    )


def routes(ear: Ear) -> APIRouter:
    router = APIRouter()

    @router.post(PATH, response_class=Response, responses=ANSWERS, openapi_extra={"requestBody": FORM})
    async def transcribe(request: Request) -> Response:
        async with ear.place():
            with tempfile.TemporaryFile() as sound, tempfile.TemporaryFile() as pcm:
                form = await receive_form(request.headers, request.stream(), sound)
                asked = _asked(form)
                if sound.tell() > FILE_BYTES:
                    raise ApiError(413, "too_large", f"The file may have {FILE_BYTES} bytes.")
                recogniser = ear.recogniser(asked.language)

                async def work() -> tuple[float, list[Said]]:
                    seconds = await decoding.decode(sound, pcm)
                    async with http_context.open():
                        return seconds, [said async for said in hear(pcm, recogniser, asked.language)]

                seconds, said = await while_connected(request.receive, _in_time(work))
        return answer(asked, seconds, said)

    return router


class Ear:
    """The recogniser, and how many files it hears at once."""

    def __init__(self, settings: Settings) -> None:
        self._english_only = settings.stt_provider == "embedded"
        self._places = AT_ONCE
        self._recogniser: stt.STT[Any] | None = None
        try:
            self._recogniser = build_stt(settings)
        except SettingsError as error:
            logger.warning("no transcriptions: %s", error)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For one file, from its first byte to its last word. ApiError 503."""
        if not self._places:
            raise ApiError(503, "at_capacity", f"{AT_ONCE} files are being heard already.", retry_after_s=5)
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    def recogniser(self, language: str | None) -> stt.STT[Any]:
        if self._recogniser is None:
            raise ApiError(503, "no_recogniser", "No recogniser is set up; the service's log says what is missing.")
        if self._english_only and language and language.lower().split("-")[0] not in ("en", "english"):
            raise invalid(Wrong("language", language, "en: the embedded recogniser knows English only"))
        return self._recogniser

    async def aclose(self) -> None:
        if self._recogniser is not None:
            await self._recogniser.aclose()


async def _in_time(work: Callable[[], Any]) -> tuple[float, list[Said]]:
    try:
        async with asyncio.timeout(HEAR_TIMEOUT_S):
            result: tuple[float, list[Said]] = await work()
            return result
    except TimeoutError:
        raise ApiError(504, "stt_timeout", f"The words were not there within {HEAR_TIMEOUT_S:g} s.") from None


def _asked(form: dict[str, list[str]]) -> TranscriptionRequest:
    lists = ("timestamp_granularities[]", "timestamp_granularities")
    try:
        return TranscriptionRequest.model_validate(
            {name: values if name in lists else values[-1] for name, values in form.items()}
        )
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from None


def answer(asked: TranscriptionRequest, seconds: float, said: list[Said]) -> Response:
    """In the format that was asked for."""
    text = " ".join(one.text for one in said)
    match asked.response_format:
        case "text":
            return PlainTextResponse(f"{text}\n")
        case "srt":
            return PlainTextResponse("".join(_cue(n, one, ",") for n, one in enumerate(said, 1)))
        case "vtt":
            return PlainTextResponse("WEBVTT\n\n" + "".join(_cue(None, one, ".") for one in said))
        case "verbose_json":
            return JSONResponse(_verbose(asked, seconds, said, text))
        case "json":
            return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": round(seconds, 3)}})


def _verbose(asked: TranscriptionRequest, seconds: float, said: list[Said], text: str) -> dict[str, Any]:
    """Without what no recogniser here measures: tokens and probabilities."""
    segments = [{"id": n, "start": one.start_s, "end": one.end_s, "text": one.text} for n, one in enumerate(said)]
    return {
        "task": "transcribe",
        "language": asked.language or "en",
        "duration": round(seconds, 3),
        "text": text,
        "segments": segments,
        "usage": {"type": "duration", "seconds": round(seconds, 3)},
    }


def _cue(number: int | None, said: Said, point: str) -> str:
    head = "" if number is None else f"{number}\n"
    text = said.text.replace("-->", "->")
    return f"{head}{_clock(said.start_s, point)} --> {_clock(said.end_s, point)}\n{text}\n\n"


def _clock(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/json": {"schema": {"type": "object"}}, "text/plain": {"schema": {"type": "string"}}}
    },
    502: {"description": "The recogniser failed."},
}
FORM: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "model"],
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": f"At most 25 MiB: {decoder.NAMES}."},
                    **TranscriptionRequest.model_json_schema(by_alias=True)["properties"],
                },
            }
        }
    },
}
