"""A real engine with the embedded voice in its own process, and the rule that no test leaves a task behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from livekit.plugins import vibevoice

_START_S = 40.0
_PROGRAM = """
import sys
from tts_plugin import server
from tts_plugin.engine.config import EngineConfig
server.run(EngineConfig(backend="embedded"), "127.0.0.1", int(sys.argv[1]))
"""


@pytest.fixture(scope="session")
def engine_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real engine; ended by its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("engine") / "log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(port)], stdout=out, stderr=out)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
async def voice(engine_url: str) -> AsyncIterator[vibevoice.TTS]:
    async with vibevoice.TTS(base_url=engine_url) as voice:
        yield voice


@pytest.fixture(autouse=True)
async def _no_leaked_task() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    deadline = time.monotonic() + 1.0
    while (left := asyncio.all_tasks() - before - {asyncio.current_task()}) and time.monotonic() < deadline:
        await asyncio.sleep(0)
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left)}"


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the engine ended with {process.returncode}:\n{log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"no engine within {_START_S} s:\n{log.read_text()[-2000:]}")
