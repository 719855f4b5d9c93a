"""GET /v1/models, /v1/models/{id} and /v1/audio/voices: what OpenAI's clients and others' pages list to choose from."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tts_plugin.client import EngineClient, EngineUnreachable
from worker.api.errors import ApiError
from worker.api.speech import as_api_error
from worker.settings import Settings

SPEECH_MODELS = ("tts-ops", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")  # /v1/audio/speech takes any other name too
HEARING_MODELS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")


def model_names(settings: Settings) -> tuple[str, ...]:
    """Ours, and OpenAI's under which programs ask for them. None of them is OpenAI's model."""
    own = settings.stt_model or ("moonshine-tiny-en" if settings.stt_provider == "embedded" else None)
    return (*SPEECH_MODELS, *((own,) if own and own not in HEARING_MODELS else ()), *HEARING_MODELS)


def routes(settings: Settings, engine: EngineClient) -> APIRouter:
    router = APIRouter(prefix="/v1")
    names = model_names(settings)

    @router.get("/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model(name) for name in names]}

    @router.get("/models/{id}")
    async def model(id: str) -> dict[str, Any]:
        if id not in names:
            raise ApiError(404, "model_not_found", f"There is no model of this name; there are: {', '.join(names)}.")
        return _model(id)

    @router.get("/audio/voices")
    async def voices() -> dict[str, Any]:
        try:
            known = await engine.voices()
        except EngineUnreachable as error:
            raise await as_api_error(error, engine, "") from error
        listed = [{"object": "voice", "name": voice["id"], **voice} for voice in known]
        return {"object": "list", "voices": listed, "data": listed}

    return router


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "tts-ops"}
