"""Whether the engine lives and may be sent work: /livez, /readyz, /startupz and /health. Knows no voice.

Being full is no unreadiness, and neither is a machine under load: only what stands still, is lost or leaves.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from tts_plugin.engine.backend import Backend, Statistics
from tts_plugin.metrics import EngineMetrics

READY_S = 2.0  # without a step or a look for work: the back-end looks every 0.5 s when it has nothing to do
ALIVE_S = 8.0


def not_alive(now: Statistics) -> str | None:
    """Why the process should be started anew."""
    if now.fatal:
        return f"lost: {now.fatal}"
    if not now.running:
        return "the engine's thread has ended"
    return f"no step for {now.last_step_age_s:.1f} s" if now.last_step_age_s > ALIVE_S else None


def not_ready(now: Statistics, *, draining: bool) -> str | None:
    """Why no new work should be sent."""
    if draining:
        return "draining"
    if now.last_step_age_s > READY_S:
        return f"no step for {now.last_step_age_s:.1f} s"
    return not_alive(now)


def probe_router(backend: Backend, metrics: EngineMetrics) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, Any]:
        now = backend.statistics()
        return {
            "status": _status(now, metrics.draining),
            "backend": now.backend,
            "device": now.device,
            "dtype": now.dtype,
            "mode": now.mode,
            "slots": now.slots,
            "active": now.active,
            "headroom": None if now.headroom is None else round(now.headroom, 2),
            "real_time": now.real_time,
            "sample_rate_hz": backend.sample_rate_hz,
            "model_load_s": round(now.model_load_s, 3),
        }

    @router.get("/livez")
    async def livez() -> Response:
        return _probe(not_alive(backend.statistics()))

    @router.get("/readyz")
    async def readyz() -> Response:
        return _probe(not_ready(backend.statistics(), draining=metrics.draining))

    @router.get("/startupz")
    async def startupz() -> Response:
        return _probe(None)

    return router


def _status(now: Statistics, draining: bool) -> str:
    if now.fatal or not now.running:
        return "lost"
    if draining:
        return "draining"
    return "stuck" if now.last_step_age_s > READY_S else "ok"


def _probe(complaint: str | None) -> Response:
    return PlainTextResponse(f"{complaint or 'ok'}\n", status_code=503 if complaint else 200)
