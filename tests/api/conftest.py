"""A real HTTP service on a free port, and real servers around it: workers' /fleet, an engine, a language model."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvicorn
from http_parts import (
    Engine,
    FleetServer,
    Service,
    Start,
    StartFleet,
    answer_fleet,
    running,
    serving,
    settings_for_test,
)

from worker.api.app import listen
from worker.bench.scripted_llm import ScriptedLlm, scripted_llm


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts services; each takes settings as keywords."""
    async with AsyncExitStack() as stack:

        async def start_one(**values: Any) -> Service:
            return await stack.enter_async_context(running(settings_for_test(**values)))

        yield start_one


@pytest.fixture
async def start_fleet() -> AsyncIterator[StartFleet]:
    """Starts small worker servers that answer /fleet."""
    async with AsyncExitStack() as stack:

        async def start_one() -> FleetServer:
            fleet = FleetServer()
            fleet.url = await stack.enter_async_context(serving("GET", "/fleet", lambda _: answer_fleet(fleet)))
            return fleet

        yield start_one


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The real engine with the embedded voice, in a server thread of its own."""
    from tts_plugin.engine.config import EngineConfig
    from tts_plugin.engine.create import open_backend
    from tts_plugin.server import create_app

    backend = open_backend(EngineConfig(backend="embedded"))
    listener = listen("127.0.0.1", 0)
    serving_engine = uvicorn.Server(
        uvicorn.Config(create_app(backend), log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=serving_engine.run, kwargs={"sockets": [listener]}, name="engine", daemon=True)
    thread.start()
    yield Engine(f"http://127.0.0.1:{listener.getsockname()[1]}", backend)
    serving_engine.should_exit = True
    thread.join(timeout=10)
    backend.close()


@pytest.fixture
def scripted() -> Iterator[ScriptedLlm]:
    """A language model whose words a test decides, over the real OpenAI protocol."""
    with scripted_llm() as llm:
        yield llm
