"""Small real servers for the tests of the HTTP service, and the service itself on a free port."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from aiohttp import web
from fastapi import FastAPI

from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.server import create_app, uvicorn_config
from worker.api.app import listen, server
from worker.settings import Settings

SECRET = "a-secret-of-at-least-thirty-two-characters"
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port


@dataclass(slots=True)
class Service:
    """The running service; `client` has its address as base."""

    url: str
    settings: Settings
    client: aiohttp.ClientSession
    stop: Callable[[], None]  # returns at once

    async def health(self, true: Callable[[dict[str, Any]], bool], *, within_s: float = 5.0) -> dict[str, Any]:
        """/health, as soon as it is so; an AssertionError when it does not become so."""
        deadline_s = time.monotonic() + within_s
        while True:
            async with self.client.get("/health") as response:
                said: dict[str, Any] = await response.json()
            if true(said):
                return said
            assert time.monotonic() < deadline_s, said
            await asyncio.sleep(0.02)


@dataclass(slots=True)
class FleetServer:
    """A worker's /fleet; `says` is what it answers, `status` how."""

    url: str = ""
    says: dict[str, Any] = field(
        default_factory=lambda: {"capacity": 2, "active": 0, "draining": False, "registered": True, "jobs": []}
    )
    status: int = 200
    delay_s: float = 0.0

    def begin(self, *rooms: str) -> None:
        """These rooms have jobs now, and no others."""
        self.says |= {"active": len(rooms), "jobs": [{"room": room, "job_id": room} for room in rooms]}


@dataclass(slots=True)
class Engine:
    url: str
    backend: EmbeddedBackend
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=10)
        assert not self.thread.is_alive(), "the engine's server did not stop"
        self.backend.close()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def active(self) -> int:
        """Utterances that hold a slot."""
        return self.backend.statistics().active


Start = Callable[..., Awaitable[Service]]
StartFleet = Callable[[], Awaitable[FleetServer]]


def settings_for_test(**values: Any) -> Settings:
    """Settings that read no file and reach nobody, unless `values` say so."""
    base = {
        "livekit_api_secret": SECRET,
        "engine_url": NOWHERE,
        "models_url": NOWHERE,
        "worker_urls": (NOWHERE,),
        "livekit_url": "ws://127.0.0.1:9",
        "api_keys_file": Path("no-such-folder/api-keys.json"),
    }
    return Settings(_env_file=None, **(base | values))


@contextmanager
def serving_app(app: FastAPI) -> Iterator[str]:
    """A server around `app` in a thread of its own; gives its address."""
    listener = listen("127.0.0.1", 0)
    app_server = uvicorn.Server(uvicorn_config(app))
    thread = threading.Thread(target=app_server.run, kwargs={"sockets": [listener]}, name="test-app")
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        app_server.should_exit = True
        thread.join(timeout=10)


@contextmanager
def engine_running(backend: EmbeddedBackend, port: int = 0) -> Iterator[Engine]:
    """The engine's real server around `backend`, in a thread of its own."""
    listener = listen("127.0.0.1", port)
    engine_server = uvicorn.Server(uvicorn_config(create_app(backend)))
    thread = threading.Thread(target=engine_server.run, kwargs={"sockets": [listener]}, name="test-engine")
    thread.start()
    engine = Engine(f"http://127.0.0.1:{listener.getsockname()[1]}", backend, engine_server, thread)
    try:
        yield engine
    finally:
        engine.stop()


@asynccontextmanager
async def serving(method: str, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    """A server with one route on a free port; gives its address."""
    app = web.Application()
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(true: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Waits for a condition; TimeoutError when it does not come true."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def answer_fleet(fleet: FleetServer) -> web.Response:
    await asyncio.sleep(fleet.delay_s)
    return web.json_response(fleet.says, status=fleet.status)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    serving_http = server(settings)
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(serving_http.serve(sockets=[listener]), name="http-service")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        await until(lambda: serving_http.started or task.done())
        async with aiohttp.ClientSession(url) as client:
            yield Service(url, settings, client, lambda: setattr(serving_http, "should_exit", True))
    finally:
        serving_http.should_exit = True
        await task
