"""POST /v1/audio/speech: /synthesize in the words of OpenAI's clients. Any model name is taken: one engine speaks."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tts_plugin.client import EngineClient
from tts_plugin.protocol import Audio
from worker.api import audio
from worker.api.errors import ApiError, Wrong, invalid, problem
from worker.api.events import Event, EventAnswer
from worker.api.formats.encoder import Stream
from worker.api.formats.output import MEDIA_TYPES, Output
from worker.api.long_text import LongText
from worker.api.openai_errors import error_object
from worker.api.speech import Speech, Spoken
from worker.api.synthesize import SpokenText, VoiceId
from worker.settings import Settings

PATH = "/v1/audio/speech"
PCM_HZ = 24_000  # what OpenAI's pcm is; it says so nowhere in the answer
TOKENS_PER_S = 20  # of sound, as OpenAI counts it

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {} for media_type in (*MEDIA_TYPES, "text/event-stream")}}
}
_FIELDS = {"voice_id": "voice", "text": "input"}  # ours: theirs

ResponseFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]


class NamedVoice(BaseModel):
    id: VoiceId


class SpeechRequest(BaseModel):
    """Fields that OpenAI adds one day are not looked at."""

    model_config = ConfigDict(extra="ignore")

    model: ModelName = Field(description="Any name; the engine that is set up speaks.")
    input: SpokenText = Field(description="Up to SYNTHESIZE_MAX_CHARS characters.")
    voice: VoiceId | NamedVoice | None = Field(
        None, description="A voice of GET /v1/audio/voices, or a name of OpenAI's; left out: TTS_VOICE."
    )
    response_format: ResponseFormat = Field("mp3", description="pcm: 24 kHz, 16 bit, little endian, one channel.")
    speed: float = Field(1.0, ge=0.25, le=4.0, description="How fast; these voices have one speed, 1.")
    stream_format: Literal["audio", "sse"] = Field("audio", description="sse: speech.audio.delta, speech.audio.done.")
    instructions: str | None = Field(None, description="Taken and not used: these voices have one manner.")

    @property
    def voice_name(self) -> str | None:
        return self.voice.id if isinstance(self.voice, NamedVoice) else self.voice


def routes(settings: Settings, engine: EngineClient) -> APIRouter:
    router = APIRouter()

    @router.post(PATH, response_class=Response, responses=ANSWERS)
    async def speech(body: SpeechRequest, request: Request) -> Response:
        if len(body.input) > settings.synthesize_max_chars:
            raise invalid(Wrong("input", body.input, f"at most {settings.synthesize_max_chars} characters"))
        if body.speed != 1:
            raise invalid(Wrong("speed", body.speed, "1: the voices of this engine have one speed"))
        output = Output(body.response_format, PCM_HZ if body.response_format == "pcm" else None)
        spoken = LongText(body.input, lambda: _open(engine, body.voice_name or settings.tts_voice))
        try:
            await audio.begin(spoken, request.receive)
        except ApiError as error:
            raise in_their_words(error) from error
        if body.stream_format == "sse":
            return EventAnswer(_events(spoken, output, len(body.input)), spoken.cancel)
        return audio.StreamedSpeech(spoken, output)

    return router


async def _open(engine: EngineClient, voice: str) -> Speech:
    return await Speech.open(engine, voice, "interactive")


def in_their_words(error: ApiError) -> ApiError:
    """The same error, its fields named as OpenAI names them."""
    wrong = [w._replace(field=_FIELDS.get(w.field, w.field)) for w in error.wrong]
    if wrong:
        return invalid(*wrong)
    return error


async def _events(spoken: Spoken, output: Output, characters: int) -> AsyncIterator[Event]:
    """Usage counts characters in, and OpenAI's 20 tokens a second of sound out."""
    encoded, samples = Stream(output, spoken.sample_rate_hz), 0
    try:
        async for item in spoken.sounds():
            if isinstance(item, Audio):
                samples = item.offset + item.samples
                if sound := encoded.feed(item.pcm):
                    yield _delta(sound)
    except ApiError as error:  # nothing was wrong with the request: it has begun
        told = problem(error)
        yield Event("error", {**told, "type": "error", "error": error_object(told)})
        return
    if sound := encoded.finish():
        yield _delta(sound)
    made = round(samples / spoken.sample_rate_hz * TOKENS_PER_S)
    usage = {"input_tokens": characters, "output_tokens": made, "total_tokens": characters + made}
    yield Event("speech.audio.done", {"type": "speech.audio.done", "usage": usage})


def _delta(sound: bytes) -> Event:
    return Event("speech.audio.delta", {"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()})
