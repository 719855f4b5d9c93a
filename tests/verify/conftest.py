"""Engines to verify: real servers on free ports, around the real embedded voice or one that spoils its sound."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import uvicorn

from tts_plugin.engine.backend import Backend
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import open_backend
from tts_plugin.server import create_app, uvicorn_config
from worker.settings import Settings


@contextmanager
def serving(backend: Backend) -> Iterator[Settings]:
    """Settings whose engine is this back-end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn_config(create_app(backend)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="test-engine")
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.005)
        try:
            yield Settings(_env_file=None, engine_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def serve() -> Callable[[Backend], AbstractContextManager[Settings]]:
    return serving


@pytest.fixture(scope="module")
def embedded() -> Iterator[Backend]:
    backend = open_backend(EngineConfig(backend="embedded"))
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def engine(embedded: Backend) -> Iterator[Settings]:
    with serving(embedded) as settings:
        yield settings
