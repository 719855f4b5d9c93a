"""The engine's server: the protocol on /stream, /synthesize for scripts, /voices, health and metrics.

`include_routes` puts the same voice into another FastAPI app; `run` is the process `tts-ops engine`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.types import ASGIApp

from tts_plugin import __version__
from tts_plugin.body_limit import BodyLimit
from tts_plugin.engine.backend import Backend
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError, open_backend
from tts_plugin.gate import Gate
from tts_plugin.health import probe_router
from tts_plugin.loop_state import TickLag
from tts_plugin.metrics import CONTENT_TYPE, EngineMetrics
from tts_plugin.protocol import MAX_MESSAGE_BYTES
from tts_plugin.settle import settle
from tts_plugin.stream import StreamConnection
from tts_plugin.synthesize import invalid, synthesize_router

logger = logging.getLogger(__name__)

MAX_SOCKETS = 512
MAX_BODY_BYTES = 256 * 1024
_PING_S = 20.0
_KEEP_ALIVE_S = 30
_SHUTDOWN_S = 1
_TRY_AGAIN_LATER = 1013


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
        app.include_router(probe_router(backend, metrics))
        app.include_router(_scrape_router(metrics))
    if app.exception_handlers.get(RequestValidationError) in (None, request_validation_exception_handler):
        app.add_exception_handler(RequestValidationError, _say_what_is_wrong)
    return metrics


def run(config: EngineConfig, host: str, port: int, *, drain_s: float = 0.0) -> None:
    """Serve until SIGTERM or SIGINT; the voice is loaded meanwhile, and /startupz says when it is.

    On SIGTERM nothing new is taken; what is being said has `drain_s` to end, then all ends within a second. SIGINT and
    every second signal end at once. Raises EngineError when it cannot start, and when the back-end says that it can
    never speak again.
    """
    EngineProcess(config, bind(host, port), drain_s).run()


class EngineProcess:
    """The voice is loaded in a thread, so that the probes answer from the start."""

    def __init__(self, config: EngineConfig, listener: socket.socket, drain_s: float) -> None:
        self._config, self._listener = config, listener
        self._gate = Gate()
        self._server = Server(uvicorn_config(self._gate), drain_s)
        self._backend: Backend | None = None
        self._error: Exception | None = None
        self._loader = threading.Thread(target=self._load, name="engine-load", daemon=True)

    def run(self) -> None:
        self._loader.start()
        try:
            _run(self._server, self._listener)
        finally:
            self._loader.join(timeout=0.2)
            backend, self._backend = self._backend, None
            if backend is not None:
                backend.close()
        if self._error is not None:
            raise self._error
        if self._loader.is_alive():  # asked to end while loading: nothing is being said, and it cannot be called off
            logging.shutdown()
            os._exit(0)
        if backend is not None and (why := backend.statistics().fatal):
            raise EngineError(f"the engine ended: {why}")

    def _load(self) -> None:
        try:
            self._backend = backend = open_backend(self._config)
            metrics = EngineMetrics(backend)
            self._gate.app = create_app(backend, metrics=metrics)
            self._server.watch(backend, metrics)
            settle()
        except Exception as error:
            self._error = error
            self._server.should_exit = True


def serve(app: ASGIApp, listener: socket.socket, metrics: EngineMetrics | None = None) -> None:
    """Run uvicorn on a bound socket until SIGTERM or SIGINT when in the main thread."""
    settle()
    server = Server(uvicorn_config(app))
    if metrics is not None:
        server.measure(metrics)
    _run(server, listener)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again at its end: let that do nothing
            signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])


class Server(uvicorn.Server):
    """Ends when its back-end is lost, and drains it first when it is told to end: looks on every tick (0.1 s)."""

    def __init__(self, config: uvicorn.Config, drain_s: float = 0.0) -> None:
        super().__init__(config)
        self._drain_s = drain_s
        self._watched: tuple[Backend, EngineMetrics] | None = None
        self._drained_at: float | None = None  # the end of the time that running utterances have
        self._idle_ticks = 0
        self._lag: TickLag | None = None

    def watch(self, backend: Backend, metrics: EngineMetrics) -> None:
        """From any thread, once."""
        self._watched = backend, metrics
        self.measure(metrics)

    def measure(self, metrics: EngineMetrics) -> None:
        """Tell `metrics` how late the event loop is."""
        self._lag = TickLag(metrics.loop_lag)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._watched and sig == signal.SIGTERM and self._drained_at is None and self._drain_s > 0:
            self._watched[1].draining = True
            self._drained_at = time.monotonic() + self._drain_s
            return
        self.force_exit = self.force_exit or self.should_exit or self._drained_at is not None
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._lag is not None:
            self._lag.tick()
        return await super().on_tick(counter) or self._lost or self._drained

    @property
    def _lost(self) -> bool:
        return self._watched is not None and self._watched[0].statistics().fatal is not None

    @property
    def _drained(self) -> bool:
        if self._drained_at is None or self._watched is None:
            return False
        self._idle_ticks = 0 if self._watched[0].statistics().active else self._idle_ticks + 1
        return self._idle_ticks > 1 or time.monotonic() >= self._drained_at  # one more tick: the last words are sent


def uvicorn_config(app: ASGIApp, **options: Any) -> uvicorn.Config:
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
            await websocket.accept()  # of a refused upgrade a browser learns nothing
            await websocket.close(_TRY_AGAIN_LATER, f"at_capacity: {MAX_SOCKETS} sockets are open")
            return
        async with places:
            await StreamConnection(websocket, backend, metrics).serve()

    @router.get("/voices")
    async def voices() -> dict[str, Any]:
        return {"voices": [voice._asdict() for voice in backend.voices]}

    return router


def _scrape_router(metrics: EngineMetrics) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics")
    async def scrape() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router


async def _say_what_is_wrong(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part != "body"]
    value = first.get("input")
    field = ".".join(path) or "body"
    message = first["msg"].removeprefix("Value error, ")
    allowed = (first.get("ctx") or {}).get("expected") or message
    return invalid(field, None if isinstance(value, dict) else value, allowed, f"{field}: {message}")
