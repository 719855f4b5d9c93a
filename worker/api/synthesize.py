"""POST /synthesize: a text becomes sound. GET /voices: who can speak it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tts_plugin.client import EngineClient, EngineUnreachable
from worker.api import audio
from worker.api.encode import OutputFormat
from worker.api.errors import Wrong, invalid
from worker.api.speech import Speech, as_api_error
from worker.settings import Settings


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("text that is more than blanks")
    return text


SpokenText = Annotated[str, Field(min_length=1), AfterValidator(_not_blank)]
VoiceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*$", max_length=35)]


class SynthesizeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: SpokenText
    voice_id: VoiceId | None = Field(None, description="A voice of GET /voices; left out: TTS_VOICE.")
    output_format: OutputFormat = "wav"
    language: Language | None = Field(
        None, description="What the text is written in, such as en or de-DE; left out: the voice's own."
    )
    stream: bool = Field(False, description="Send sound while it is being made; a wav's header then has no length.")


def routes(settings: Settings, engine: EngineClient) -> APIRouter:
    router = APIRouter()

    @router.post("/synthesize", response_class=Response)
    async def synthesize(body: SynthesizeRequest, request: Request) -> Response:
        if len(body.text) > settings.synthesize_max_chars:
            raise invalid(Wrong("text", body.text, f"at most {settings.synthesize_max_chars} characters"))
        speech = await Speech.open(
            engine,
            body.voice_id or settings.tts_voice,
            "interactive" if body.stream else "file",
            language=body.language,
        )
        speech.feed(body.text)
        speech.end()
        return await audio.answer(speech, body.output_format, request.receive, stream=body.stream)

    @router.get("/voices")
    async def voices() -> dict[str, list[dict[str, Any]]]:
        try:
            return {"voices": await engine.voices()}
        except EngineUnreachable as error:
            raise await as_api_error(error, engine, "") from error

    return router
