"""The HTTP service put together: routes, what stands before them, and the server that runs them."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import tts_plugin
from tts_plugin.client import EngineClient
from tts_plugin.settle import settle
from worker.api import (
    chat,
    errors,
    health,
    join_token,
    openai_models,
    openai_speech,
    openapi,
    pages,
    sound_links,
    stream_socket,
    synthesize,
    transcriptions,
    webhooks,
)
from worker.api.at_once import AtOnce
from worker.api.body import BodyLimit
from worker.api.fleet_view import FleetView
from worker.api.gate import Gate, require_guarded
from worker.api.guards import Deadline, guarded
from worker.api.limits import Limited, Rate, by_address, by_asker
from worker.api.metrics import HttpMetrics, Measured
from worker.api.oidc import Issuer
from worker.api.openai_errors import OpenAiErrors
from worker.api.provenance import Provenance, Signer
from worker.api.security import SecurityHeaders
from worker.api.shared import Shared
from worker.api.shared_answers import SharedAnswers
from worker.api.shared_turns import SharedTurns
from worker.api.socket_guards import guarded_sockets
from worker.loop_watch import LoopLag
from worker.providers import build_llm
from worker.settings import Settings, SettingsError
from worker.watch.patrol import Patrol

BODY_BYTES = 64 * 1024
TEXT_BODY_BYTES = 256 * 1024  # SYNTHESIZE_MAX_CHARS of any script
TEXT_PATHS = ("/synthesize", "/chat", "/v1/audio/speech", "/v1/audio/transcriptions")
ANSWER_S = 30.0  # until an answer begins
LONG_ANSWER_S = 900.0  # a whole file of SYNTHESIZE_MAX_CHARS
CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key"],
    "expose_headers": ["Retry-After", "X-AI-Generated"],
    "max_age": 600,
}
MAX_CONNECTIONS = 256
KEEP_ALIVE_S = 30
WS_BYTES = 64 * 1024  # one message
WS_PING_S = 20.0
SHUTDOWN_S = 1

logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The service. SettingsError when a key or secret that it needs is missing, or HOST is not this machine and
    nobody needs a key.
    """
    require_guarded(settings)
    metrics = HttpMetrics()
    lag = LoopLag(metrics.loop_lag.observe)
    engine = EngineClient(settings.engine_address)
    key = settings.fleet_key
    fleet = FleetView(settings.worker_addresses, key=key.get_secret_value() if key else None)
    patrol = Patrol(settings, fleet, metrics) if settings.watch_rooms else None
    model = build_llm(settings)
    ear = transcriptions.Ear(settings)
    rate = Rate(settings)
    shared = Shared(settings)
    answers = SharedAnswers(shared)
    at_once = AtOnce(settings.requests_at_once, shared)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        lag.start()
        await fleet.start()
        if patrol is not None:
            await patrol.start()
        try:
            yield
        finally:
            if patrol is not None:
                await patrol.aclose()
            await fleet.aclose()
            await lag.aclose()
            await engine.aclose()
            await model.aclose()
            await ear.aclose()
            answers.close()
            await at_once.aclose()
            await shared.aclose()

    app = FastAPI(version=tts_plugin.__version__, lifespan=lifespan, openapi_url=None)
    errors.install(app)
    app.include_router(join_token.routes(settings, fleet, metrics))
    app.include_router(chat.routes(settings, engine, model, answers, SharedTurns(shared)))
    app.include_router(synthesize.routes(settings, engine, answers))
    app.include_router(sound_links.routes(answers))
    app.include_router(openai_speech.routes(settings, engine))
    app.include_router(transcriptions.routes(ear))
    app.include_router(openai_models.routes(settings, engine))
    app.include_router(stream_socket.routes(settings, engine, rate, metrics))
    app.include_router(health.routes(settings, fleet, metrics))
    app.include_router(webhooks.routes(settings, patrol.hint if patrol else lambda _: None, metrics))
    app.include_router(openapi.routes(app))
    app.include_router(pages.routes())  # last: it takes every path that is left
    _protect(app, settings, metrics, rate, at_once)
    return app


def _protect(app: FastAPI, settings: Settings, metrics: HttpMetrics, rate: Rate, at_once: AtOnce) -> None:
    """What every request passes before it comes to a route. The one added last stands first."""
    limits = {
        "/synthesize": TEXT_BODY_BYTES,
        "/chat": TEXT_BODY_BYTES,
        openai_speech.PATH: TEXT_BODY_BYTES,
        webhooks.PATH: webhooks.BODY_BYTES,
    }
    streamed = {transcriptions.PATH: transcriptions.BODY_BYTES}
    app.add_middleware(BodyLimit, default=BODY_BYTES, limits=limits, streamed=streamed)
    if settings.c2pa:
        app.add_middleware(Provenance, signer=Signer(settings))
    app.add_middleware(Deadline, seconds=ANSWER_S, longer=dict.fromkeys(TEXT_PATHS, LONG_ANSWER_S))
    app.add_middleware(Limited, who=by_asker, rate=rate, at_once=at_once)
    app.add_middleware(Gate, settings=settings, issuer=Issuer(settings) if settings.oidc_issuer else None)
    app.add_middleware(Limited, who=by_address(settings), rate=rate, at_once=at_once)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CORS)
    app.add_middleware(SecurityHeaders, livekit_url=settings.livekit_browser_url)
    app.add_middleware(OpenAiErrors)
    app.add_middleware(Measured, metrics=metrics)


def server(settings: Settings, create: Callable[[Settings], FastAPI] = create_app) -> uvicorn.Server:
    """The service in a server that listens nowhere yet; hand it sockets."""
    http = guarded(per_address=settings.connections_per_address, unlimited=settings.trusted_proxies)
    return uvicorn.Server(
        uvicorn.Config(
            create(settings),
            log_config=None,
            access_log=False,
            http=http,
            ws=guarded_sockets(http),
            ws_per_message_deflate=False,
            ws_max_size=WS_BYTES,
            ws_ping_interval=WS_PING_S,
            ws_ping_timeout=WS_PING_S,
            lifespan="on",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
        )
    )


def run(settings: Settings, create: Callable[[Settings], FastAPI] = create_app) -> None:
    """Serve on HOST and HTTP_PORT until SIGTERM or SIGINT."""
    listener = listen(settings.host, settings.http_port)
    serving = server(settings, create)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again after a clean end
    settle()
    logger.info("listening on http://%s:%d", settings.host, settings.http_port)
    serving.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. SettingsError when the port cannot be had."""
    # asyncio switches Nagle's algorithm off only where the protocol is named: without it each answer waits 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        why = "in use by another program" if error.errno == errno.EADDRINUSE else error.strerror
        raise SettingsError(f"HTTP_PORT is {port}: {why}; end that program or set HTTP_PORT to a free port") from None
    return listener
