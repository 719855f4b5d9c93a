"""`tts-ops watch`: the watcher as a process of its own, with LiveKit's webhooks, health and metrics on HTTP_PORT."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response

import tts_plugin
from worker.api import app as http
from worker.api import errors, webhooks
from worker.api.body import BodyLimit
from worker.api.errors import ApiError
from worker.api.fleet_view import FleetView
from worker.api.gate import Gate, require_guarded
from worker.api.metrics import HttpMetrics, Measured
from worker.settings import Settings
from worker.watch.patrol import Patrol


def create_app(settings: Settings) -> FastAPI:
    """SettingsError when LiveKit's secret is missing, or HOST is not this machine and there is no API key."""
    require_guarded(settings)
    metrics = HttpMetrics()
    key = settings.fleet_key
    fleet = FleetView(settings.worker_addresses, key=key.get_secret_value() if key else None)
    patrol = Patrol(settings, fleet, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await fleet.start()
        await patrol.start()
        try:
            yield
        finally:
            await patrol.aclose()
            await fleet.aclose()

    app = FastAPI(title="tts-ops watch", version=tts_plugin.__version__, lifespan=lifespan, openapi_url=None)
    errors.install(app)
    app.include_router(webhooks.routes(settings, patrol.hint, metrics))

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        if not fleet.polled.is_set():
            raise ApiError(503, "starting", "The workers have not been asked yet.", retry_after_s=1.0)
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response)
    async def get_metrics() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_middleware(BodyLimit, default=webhooks.BODY_BYTES, limits={})
    app.add_middleware(Gate, settings=settings, issuer=None)
    app.add_middleware(Measured, metrics=metrics)
    return app


def run(settings: Settings) -> None:
    """Watch until SIGTERM or SIGINT."""
    http.run(settings, create_app)
