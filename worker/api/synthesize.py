"""POST /synthesize: a text becomes sound. GET /voices: who can speak it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tts_plugin.client import EngineClient, EngineUnreachable
from worker.api import audio, multipart
from worker.api.errors import Wrong, invalid
from worker.api.events import EventAnswer, spoken_events
from worker.api.formats.output import MEDIA_TYPES, Output, OutputFormat, SampleRate
from worker.api.idempotency import owned
from worker.api.limits import by_asker
from worker.api.long_text import LongText
from worker.api.multipart import MultipartAnswer
from worker.api.shared_answers import SharedAnswers
from worker.api.speech import Speech, as_api_error
from worker.settings import Settings


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("text that is more than blanks")
    return text


SpokenText = Annotated[str, Field(min_length=1), AfterValidator(_not_blank)]
VoiceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*$", max_length=35)]


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {} for media_type in (*MEDIA_TYPES, "text/event-stream")}}
}
SYNTHESIZE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {**ANSWERS[200]["content"], multipart.MEDIA_TYPE: {}}}
}


class Sound(BaseModel):
    """How the sound is to be sent; the same of /synthesize and /chat."""

    model_config = ConfigDict(extra="forbid")

    voice_id: VoiceId | None = Field(None, description="A voice of GET /voices; left out: TTS_VOICE, or the agent's.")
    output_format: OutputFormat = Field("wav", description="opus is Ogg; mulaw and pcm have no header.")
    sample_rate: SampleRate | None = Field(None, description="In Hz. Left out: as the voice speaks; mulaw: 8000.")
    speed: float = Field(1.0, description="How fast; these voices have one speed, 1.")
    language: Language | None = Field(
        None, description="What the text is written in, such as en or de-DE; left out: the voice's own."
    )
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="Same seed and text, same sound.")

    def output(self) -> Output:
        """ApiError 422 when the voices or the format cannot do it."""
        output = Output(self.output_format, self.sample_rate)
        if self.speed != 1:
            raise invalid(Wrong("speed", self.speed, "1: the voices of this engine have one speed"))
        if not output.possible:
            rates = ", ".join(map(str, output.allowed_hz))
            raise invalid(Wrong("sample_rate", self.sample_rate, f"with {self.output_format}: {rates}"))
        return output


class SynthesizeRequest(Sound):
    text: SpokenText
    stream: bool = Field(False, description="Send sound while it is being made; a wav's header then has no length.")
    timestamps: bool = Field(
        False, description="Words with their times, and sound: as events, or as parts when Accept is multipart/mixed."
    )


def routes(settings: Settings, engine: EngineClient, answers: SharedAnswers) -> APIRouter:
    router = APIRouter()

    @router.post("/synthesize", response_class=Response, responses=SYNTHESIZE_ANSWERS)
    async def synthesize(
        body: SynthesizeRequest, request: Request, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        if len(body.text) > settings.synthesize_max_chars:
            raise invalid(Wrong("text", body.text, f"at most {settings.synthesize_max_chars} characters"))
        output = body.output()
        speech = _speech(settings, engine, body)
        if idempotency_key is not None:
            return await _once(answers, idempotency_key, body, speech, output, request)
        if body.timestamps:
            await audio.begin(speech, request.receive)
            form = MultipartAnswer if multipart.is_wanted(request.headers.get("accept", "")) else EventAnswer
            return form(spoken_events(speech, output), speech.cancel)
        return await audio.answer(speech, output, request.receive, stream=body.stream)

    @router.get("/voices")
    async def voices() -> dict[str, list[dict[str, Any]]]:
        try:
            return {"voices": await engine.voices()}
        except EngineUnreachable as error:
            raise await as_api_error(error, engine, "") from error

    return router


def _speech(settings: Settings, engine: EngineClient, body: SynthesizeRequest) -> LongText:
    at_once = body.stream or body.timestamps

    async def open_speech() -> Speech:
        return await Speech.open(
            engine,
            body.voice_id or settings.tts_voice,
            "interactive" if at_once else "file",
            language=body.language,
            seed=body.seed,
        )

    return LongText(body.text, open_speech)


async def _once(
    answers: SharedAnswers, key: str, body: SynthesizeRequest, speech: LongText, output: Output, request: Request
) -> Response:
    """The answer that the key had before, or a new one that is kept."""
    if body.stream or body.timestamps:
        raise invalid(Wrong("Idempotency-Key", key, "only with stream and timestamps false: a stream is not kept"))
    key = owned(key, by_asker(request.scope) or "anybody")
    kept = await answers.begin(key, body.model_dump_json())
    if kept is not None:
        response = audio.KeptAnswer(kept)
        response.headers["Idempotency-Replayed"] = "true"
        return response
    try:
        made = await audio.keep(speech, output, request.receive)
    except BaseException:
        await answers.forget(key)
        raise
    return audio.KeptAnswer(await answers.keep(key, made))
