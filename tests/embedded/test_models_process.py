"""`tts-ops models` as a process: ready, small, quick to end, and clear when it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

START_S = 40
END_S = 2
MAX_PSS_MIB = 700


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def models_process(root: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "worker.cli",
        "models",
        cwd=root,
        env=os.environ | {"MODELS_PORT": str(port), "HOST": "127.0.0.1"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_ready(url: str) -> None:
    deadline = time.monotonic() + START_S
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/readyz") as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientConnectionError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)


@pytest.mark.system
async def test_it_gets_ready_stays_small_and_ends_in_time(root: Path, record_property: pytest.RecordProperty) -> None:
    port = free_port()
    async with models_process(root, port) as process:
        await until_ready(f"http://127.0.0.1:{port}")
        pss_mib = _pss_mib(process.pid)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)
        took_s = time.monotonic() - asked
    record_property("pss_mib", pss_mib)
    assert process.returncode == 0
    assert took_s < END_S
    assert pss_mib < MAX_PSS_MIB


@pytest.mark.system
async def test_a_taken_port_is_one_clear_line(root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        async with models_process(root, port) as process:
            _, errors = await asyncio.wait_for(process.communicate(), START_S)
    assert process.returncode == 2
    assert f"127.0.0.1 port {port}" in errors.decode()
    assert "MODELS_PORT" in errors.decode()
    assert "Traceback" not in errors.decode()


def _pss_mib(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if not rollup.exists():
        pytest.skip("this system does not tell PSS")
    line = next(line for line in rollup.read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024
