"""The engine's server: the protocol on /stream, /synthesize for scripts, /voices, health and metrics.

`include_routes` puts the same voice into another FastAPI app; `run` is the process `tts-ops engine`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from tts_plugin import __version__
from tts_plugin.body_limit import BodyLimit
from tts_plugin.engine.backend import Backend
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError, open_backend
from tts_plugin.metrics import CONTENT_TYPE, EngineMetrics
from tts_plugin.protocol import MAX_MESSAGE_BYTES
from tts_plugin.stream import StreamConnection
from tts_plugin.synthesize import invalid, synthesize_router

logger = logging.getLogger(__name__)

MAX_SOCKETS = 512
MAX_BODY_BYTES = 256 * 1024
_STEP_AGE_READY_S = 5.0
_STEP_AGE_ALIVE_S = 30.0
_PING_S = 20.0
_KEEP_ALIVE_S = 30
_SHUTDOWN_S = 1


def create_app(backend: Backend, *, metrics: EngineMetrics | None = None) -> FastAPI:
    """The engine's app. The caller owns the back-end and closes it."""
    app = FastAPI(title="tts-ops engine", version=__version__)
    include_routes(app, backend, metrics=metrics)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    return app


def include_routes(
    app: FastAPI, backend: Backend, *, probes: bool = True, metrics: EngineMetrics | None = None
) -> EngineMetrics:
    """Add the engine's routes to `app`; without `probes`, only /stream, /synthesize and /voices."""
    metrics = metrics or EngineMetrics(backend)
    app.include_router(_voice_router(backend, metrics))
    app.include_router(synthesize_router(backend, metrics))
    if probes:
        app.include_router(_probe_router(backend, metrics))
    if app.exception_handlers.get(RequestValidationError) in (None, request_validation_exception_handler):
        app.add_exception_handler(RequestValidationError, _say_what_is_wrong)
    return metrics


def run(config: EngineConfig, host: str, port: int) -> None:
    """Load the voice, serve until SIGTERM or SIGINT, end within 2 s.

    Raises EngineError when it cannot start, and when the back-end says that it can never speak again.
    """
    listener = bind(host, port)
    backend = open_backend(config)
    try:
        serve(create_app(backend), listener, backend)
        if why := backend.statistics().fatal:
            raise EngineError(f"the engine ended: {why}")
    finally:
        backend.close()


def serve(app: FastAPI, listener: socket.socket, backend: Backend | None = None) -> None:
    """Run uvicorn on a bound socket, until SIGTERM or SIGINT when in the main thread, or until the back-end is lost."""
    server = _Server(uvicorn_config(app), backend)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again at its end: let that do nothing
            signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Looks at the back-end on every tick (0.1 s): nobody is served by a process whose device is gone."""

    def __init__(self, config: uvicorn.Config, backend: Backend | None) -> None:
        super().__init__(config)
        self._backend = backend

    async def on_tick(self, counter: int) -> bool:
        lost = self._backend is not None and self._backend.statistics().fatal is not None
        return await super().on_tick(counter) or lost


def uvicorn_config(app: FastAPI, **options: Any) -> uvicorn.Config:
    """How every server that carries /stream is set up; `options` add to it."""
    return uvicorn.Config(
        app,
        **{
            "loop": "auto",
            "http": "httptools",
            "ws": "websockets-sansio",
            "ws_max_size": MAX_MESSAGE_BYTES,
            "ws_per_message_deflate": False,
            "ws_ping_interval": _PING_S,
            "ws_ping_timeout": _PING_S,
            "limit_concurrency": 2 * MAX_SOCKETS,
            "timeout_keep_alive": _KEEP_ALIVE_S,
            "timeout_graceful_shutdown": _SHUTDOWN_S,
            "log_config": None,
            "access_log": False,
            "server_header": False,
            **options,
        },
    )


def bind(host: str, port: int, *, setting: str = "ENGINE_PORT") -> socket.socket:
    """A listening socket, or EngineError naming the `setting` that mends it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise EngineError(f"cannot listen on {host} port {port} ({error.strerror}): set HOST or {setting}") from error
    return listener


def _voice_router(backend: Backend, metrics: EngineMetrics) -> APIRouter:
    router = APIRouter()
    places = asyncio.Semaphore(MAX_SOCKETS)

    @router.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        if places.locked():
            await websocket.send_denial_response(
                JSONResponse({"code": "at_capacity", "message": f"{MAX_SOCKETS} sockets are open"}, status_code=503)
            )
            return
        async with places:
            await StreamConnection(websocket, backend, metrics).serve()

    @router.get("/voices")
    async def voices() -> dict[str, Any]:
        return {"voices": [voice._asdict() for voice in backend.voices]}

    return router


def _probe_router(backend: Backend, metrics: EngineMetrics) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, Any]:
        now = backend.statistics()
        return {
            "status": "lost" if now.fatal else "ok" if now.last_step_age_s < _STEP_AGE_READY_S else "stuck",
            "backend": now.backend,
            "device": now.device,
            "dtype": now.dtype,
            "slots": now.slots,
            "headroom": None if now.headroom is None else round(now.headroom, 2),
            "active": now.active,
            "sample_rate_hz": backend.sample_rate_hz,
            "model_load_s": round(now.model_load_s, 3),
        }

    @router.get("/livez")
    async def livez() -> Response:
        return _probe(backend.statistics().last_step_age_s, _STEP_AGE_ALIVE_S)

    @router.get("/readyz")
    async def readyz() -> Response:
        return _probe(backend.statistics().last_step_age_s, _STEP_AGE_READY_S)

    @router.get("/startupz")
    async def startupz() -> Response:
        return _probe(0.0, _STEP_AGE_READY_S)

    @router.get("/metrics")
    async def scrape() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router


def _probe(age_s: float, allowed_s: float) -> Response:
    if age_s < allowed_s:
        return Response("ok\n", media_type="text/plain")
    return Response(f"no step for {age_s:.1f} s\n", status_code=503, media_type="text/plain")


async def _say_what_is_wrong(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part != "body"]
    value = first.get("input")
    field = ".".join(path) or "body"
    message = first["msg"].removeprefix("Value error, ")
    allowed = (first.get("ctx") or {}).get("expected") or message
    return invalid(field, None if isinstance(value, dict) else value, allowed, f"{field}: {message}")
