"""The worker's routes on METRICS_PORT: /metrics, /fleet, /livez, /readyz, /startupz.

Room is never part of readiness: a full worker is ready. /fleet carries the calls' last words, so it answers only to
this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NamedTuple

from aiohttp import web


class WorkerState(NamedTuple):
    registered: bool
    draining: bool
    capacity: int
    active: int


class HealthServer:
    def __init__(
        self,
        host: str,
        port: int,
        *,
        state: Callable[[], WorkerState],
        jobs: Callable[[], list[dict[str, Any]]],
        metrics: Callable[[], bytes],
    ) -> None:
        self._state = state
        self._jobs = jobs
        self._metrics = metrics
        app = web.Application(client_max_size=1024)
        app.add_routes(
            [
                web.get("/metrics", self._get_metrics),
                web.get("/fleet", self._get_fleet),
                web.get("/livez", self._get_livez),
                web.get("/readyz", self._get_readyz),
                web.get("/startupz", self._get_readyz),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=30, shutdown_timeout=1)
        self._host, self._port = host, port

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def aclose(self) -> None:
        await self._runner.cleanup()

    async def _get_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), content_type="text/plain", charset="utf-8")

    async def _get_fleet(self, request: web.Request) -> web.Response:
        if not ip_address(request.remote or "0.0.0.0").is_loopback:
            return web.json_response(
                {"code": "forbidden", "message": "/fleet answers to this machine only"}, status=403
            )
        state = self._state()
        return web.json_response(
            {
                "capacity": state.capacity,
                "active": state.active,
                "draining": state.draining,
                "registered": state.registered,
                "jobs": self._jobs(),
            }
        )

    async def _get_livez(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _get_readyz(self, _: web.Request) -> web.Response:
        state = self._state()
        ready = state.registered and not state.draining
        reason = "ready" if ready else "draining" if state.draining else "not registered with LiveKit"
        return web.json_response({"status": reason}, status=200 if ready else 503)
