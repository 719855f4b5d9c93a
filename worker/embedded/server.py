"""The process `tts-ops models`: one recogniser, one small language model and the standby voice for all calls.

The port is bound first and served when all three are warm (about 2 s): a client that connects meanwhile waits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.responses import Response

from tts_plugin import __version__, health
from tts_plugin.body_limit import BodyLimit
from tts_plugin.engine.backend import Backend
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError, open_backend
from tts_plugin.metrics import CONTENT_TYPE
from tts_plugin.server import bind, include_routes, serve
from worker.embedded import chat
from worker.embedded.listening import BUSY, Listening
from worker.embedded.llm import LanguageModel, LanguageModelError
from worker.embedded.metrics import ModelsCollector
from worker.embedded.moonshine import Moonshine, MoonshineError
from worker.embedded.recogniser import Recogniser
from worker.settings import Settings, SettingsError

MAX_LISTENERS = 64
PASS_S = 20.0  # half a minute of speech takes 1.5 s on one slow core

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Models:
    recogniser: Recogniser
    language_model: LanguageModel
    voice: Backend

    def close(self) -> None:
        self.recogniser.close()
        self.language_model.close()
        self.voice.close()


def run(settings: Settings) -> None:
    """Load, serve until SIGTERM or SIGINT, end within 2 s. SettingsError: a part is missing or the port taken."""
    try:
        listener = bind(settings.host, settings.models_port, setting="MODELS_PORT")
        models = load(settings.engine)
    except (MoonshineError, LanguageModelError, EngineError) as error:
        raise SettingsError(str(error)) from None
    try:
        app = create_app(models)
        serve(app, listener, app.state.metrics)
    finally:
        models.close()
    logging.shutdown()
    os._exit(0)  # everything is closed; taking the interpreter down under two inference libraries costs up to a second


def load(voice: EngineConfig) -> Models:
    """All three, warm. Blocks for about 2 s."""
    started = time.perf_counter()
    with ThreadPoolExecutor(3, thread_name_prefix="load") as threads:
        recogniser = threads.submit(_warm, lambda: Recogniser(Moonshine()))
        language_model = threads.submit(_warm, LanguageModel)
        standby = threads.submit(open_backend, replace(voice, backend="embedded"))
        models = Models(recogniser.result(), language_model.result(), standby.result())
    log.info("recogniser, language model and standby voice are ready after %.1f s", time.perf_counter() - started)
    return models


def create_app(models: Models) -> FastAPI:
    """The process's app. The caller owns the models and closes them."""
    app = FastAPI(title="tts-ops models", version=__version__)
    metrics = include_routes(app, models.voice, probes=False)
    app.state.metrics = metrics
    metrics.registry.register(ModelsCollector(models.recogniser, models.language_model))
    app.include_router(chat.create_router(models.language_model))
    _add_probes(app, models, metrics.text)
    _add_transcribe(app, models.recogniser)
    app.add_middleware(BodyLimit, max_bytes=chat.MAX_BODY_BYTES)
    return app


def _add_transcribe(app: FastAPI, recogniser: Recogniser) -> None:
    places = asyncio.Semaphore(MAX_LISTENERS)

    @app.websocket("/transcribe")
    async def transcribe(socket: WebSocket) -> None:
        await socket.accept()
        if places.locked():
            await socket.close(BUSY, f"{MAX_LISTENERS} calls are listened to already")
            return
        async with places:
            await Listening(socket, recogniser).serve()


def _add_probes(app: FastAPI, models: Models, metrics: Callable[[], bytes]) -> None:
    @app.get("/health")
    async def tell() -> dict[str, Any]:
        return {
            "status": "stuck"
            if _stuck(models) or health.not_ready(models.voice.statistics(), draining=False)
            else "ok",
            "slots": models.voice.statistics().slots,  # of the standby voice; workers count them
            "recogniser": models.recogniser.statistics()._asdict(),
            "language_model": {"model": chat.MODEL_NAME, **models.language_model.statistics()._asdict()},
            "voice": {"backend": models.voice.statistics().backend, "active": models.voice.statistics().active},
        }

    async def livez() -> Response:
        return _probe(_stuck(models) or health.not_alive(models.voice.statistics()))

    async def readyz() -> Response:
        return _probe(_stuck(models) or health.not_ready(models.voice.statistics(), draining=False))

    async def startupz() -> Response:
        return _probe(None)

    for probe in (livez, readyz, startupz):
        app.add_api_route(f"/{probe.__name__}", probe)

    @app.get("/metrics")
    async def scrape() -> Response:
        return Response(metrics(), media_type=CONTENT_TYPE)


def _stuck(models: Models) -> str | None:
    """Why the process should be started anew: a pass of the recogniser takes seconds at most."""
    seconds = models.recogniser.longest_pass_s
    return f"the recogniser has been at one pass for {seconds:.0f} s" if seconds > PASS_S else None


def _probe(complaint: str | None) -> Response:
    return Response(f"{complaint or 'ok'}\n", status_code=503 if complaint else 200, media_type="text/plain")


def _warm(build: Callable[[], Any]) -> Any:
    model = build()
    model.warm()
    return model
