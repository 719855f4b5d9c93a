"""GET /health for people, /livez and /readyz for whoever restarts us, /metrics for Prometheus.

A missing neighbour makes /health say so; it never makes this service unready, and room never does either.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any

import aiohttp
from fastapi import APIRouter, Response

from worker.api.errors import ApiError
from worker.api.fleet_view import FleetView
from worker.api.metrics import HttpMetrics
from worker.providers import describe
from worker.settings import Settings

DEADLINE_S = 0.5
KEPT_S = 1.0  # many askers cost the neighbours one question a second


class Neighbours:
    """Engine and LiveKit server, asked at most once a second."""

    def __init__(self, settings: Settings) -> None:
        self._engine_url = f"{settings.engine_address}/health"
        self._livekit_url = "http" + settings.livekit_url.removeprefix("ws")
        self._asking = asyncio.Lock()
        self._asked_s = float("-inf")
        self._engine: dict[str, Any] | None = None
        self._livekit = False

    async def ask(self) -> tuple[dict[str, Any] | None, bool]:
        """What the engine says of itself (None: nothing), and whether the LiveKit server answers."""
        async with self._asking:
            if time.monotonic() - self._asked_s > KEPT_S:
                async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S)) as session:
                    self._engine, self._livekit = await asyncio.gather(self._ask_engine(session), self._ping(session))
                self._asked_s = time.monotonic()
            return self._engine, self._livekit

    async def _ask_engine(self, session: aiohttp.ClientSession) -> dict[str, Any] | None:
        try:
            async with session.get(self._engine_url) as response:
                said = await response.json()
                return said if isinstance(said, dict) else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def _ping(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(self._livekit_url) as response:
                return response.status < 500
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def routes(settings: Settings, fleet: FleetView, metrics: HttpMetrics) -> APIRouter:
    neighbours = Neighbours(settings)
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, Any]:
        engine, livekit = await neighbours.ask()
        workers = fleet.workers()
        parts = describe(settings, voice_backend=_text(engine, "backend"), device=_text(engine, "device"))
        return {
            "status": "ok" if engine and livekit and workers else "degraded",
            "parts": asdict(parts),
            "engine": engine or {"status": "unreachable"},
            "fleet": {
                "workers": len(workers),
                "capacity": sum(w.capacity for w in workers),
                "active": sum(w.active for w in workers),
                "free": max(0, fleet.free()),
            },
            "livekit": {"status": "ok" if livekit else "unreachable"},
        }

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> dict[str, str]:
        if not fleet.polled.is_set():
            raise ApiError(503, "starting", "The workers have not been asked yet.", retry_after_s=1.0)
        return {"status": "ok"}

    @router.get("/metrics", response_class=Response)
    async def get_metrics() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _text(engine: dict[str, Any] | None, field: str) -> str | None:
    value = (engine or {}).get(field)
    return value if isinstance(value, str) and value else None
