"""The engine that a tool talks to: the one at ENGINE_URL, or where none runs one of the tool's own, ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager

import typer

from tts_plugin.client import EngineClient, EngineUnreachable
from worker.settings import Settings

START_TIMEOUT_S = 180.0  # 2 GB of weights from a slow disk, and the warm-up


@asynccontextmanager
async def engine_client(settings: Settings) -> AsyncGenerator[EngineClient, None]:
    """A connected client. Raises EngineUnreachable when an engine of our own does not start either."""
    client = EngineClient(settings.engine_address)
    with contextlib.ExitStack() as stack:
        try:
            await client.connect()
        except EngineUnreachable:
            await client.aclose()
            typer.echo(f"no engine at {settings.engine_address}: starting one", err=True)
            client = EngineClient(await asyncio.to_thread(stack.enter_context, own_engine()))
            await client.connect()
        try:
            yield client
        finally:
            await client.aclose()


@contextmanager
def own_engine() -> Iterator[str]:
    port = _free_port()
    env = {**os.environ, "ENGINE_PORT": str(port), "HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen([sys.executable, "-m", "worker.cli", "engine"], env=env, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise EngineUnreachable("the engine did not start; `tts-ops doctor` says what is missing")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
            return
        time.sleep(0.05)
    raise EngineUnreachable(f"the engine did not start within {START_TIMEOUT_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
