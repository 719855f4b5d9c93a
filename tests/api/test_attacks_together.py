"""While all attacks go on at once, the service keeps its memory, and streams that others hear come as they did before.

Service, engine and attackers are processes of their own. The engine makes 133 ms of sound every 133 ms for each
utterance, and writes into it when it was made: the reader knows how long each piece was on its way.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import pytest
from http_parts import NOWHERE, SECRET

from worker.bench.null_engine import read_stamp
from worker.keys import KeyFile

MIB = 1024 * 1024
STEP_MS = 133.3
LATENT_BYTES = 2 * 3_200
STREAMS = 10
SLOTS = 24
QUIET_S, ATTACK_S = 3.0, 6.0
MEMORY_MIB = 50
LATER_S = 0.08  # 20 ms is promised; attackers, engine, reader and other tests share the cores here
TEXT = "This sentence is here to be read aloud for a long while. " * 34


@asynccontextmanager
async def program(*arguments: str, cwd: Path, **env: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=cwd, stdout=PIPE, env={"PATH": os.environ["PATH"], "HOME": str(cwd)} | env
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def listen_on(client: aiohttp.ClientSession, late_s: list[float]) -> None:
    """One paced stream after another: how long each piece was on its way."""
    loop = asyncio.get_running_loop()
    while True:
        async with client.post("/synthesize", json={"text": TEXT, "stream": True, "output_format": "pcm"}) as response:
            assert response.status == 200, await response.text()
            while piece := await _piece(response.content):
                late_s.append(loop.time() - read_stamp(piece))


async def _piece(content: aiohttp.StreamReader) -> bytes:
    try:
        return await content.readexactly(LATENT_BYTES)
    except asyncio.IncompleteReadError:
        return b""


async def wait_for(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                async with client.get("/livez") as response:
                    assert response.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


@pytest.mark.timeout(120)
async def test_memory_and_other_streams_stay_as_they_were(root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        free_port = unused.getsockname()[1]
    key = KeyFile(tmp_path / "api-keys.json").add("everybody")[1]
    env = {"LIVEKIT_API_SECRET": SECRET, "WORKER_URLS": NOWHERE, "WATCH_ROOMS": "false", "OPEN_ON_LOOPBACK": "false"}
    env |= {"RATE_PER_MINUTE": "1000000", "REQUESTS_AT_ONCE": "1000", "HTTP_PORT": str(free_port)}
    env["PYTHONPATH"] = str(root)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            program("-m", "worker.bench.null_engine", str(SLOTS), str(STEP_MS), cwd=tmp_path, PYTHONPATH=str(root))
        )
        assert engine.stdout
        port = (await asyncio.wait_for(engine.stdout.readline(), 30)).decode().strip()
        env["ENGINE_URL"] = f"http://127.0.0.1:{port}"
        service = await stack.enter_async_context(program("-m", "worker.cli", "serve", cwd=tmp_path, **env))
        client = await stack.enter_async_context(
            aiohttp.ClientSession(
                f"http://127.0.0.1:{free_port}",
                headers={"Authorization": f"Bearer {key}"},
                connector=aiohttp.TCPConnector(limit=0),
            )
        )
        await wait_for(client)
        late_s: list[float] = []
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(listen_on(client, late_s), name=f"listener-{n}") for n in range(STREAMS)]
            async with asyncio.timeout(30):
                while len(late_s) < 3 * STREAMS:
                    await asyncio.sleep(0.05)
            late_s.clear()
            await asyncio.sleep(QUIET_S)
            before_s, before_mib = np.percentile(late_s, 99), rss_mib(service)
            late_s.clear()
            attacked = asyncio.create_task(attack(stack, tmp_path, root, free_port, key), name="attackers")
            most_mib = before_mib
            while not attacked.done():
                most_mib = max(most_mib, rss_mib(service))
                await asyncio.sleep(0.1)
            during_s = np.percentile(late_s, 99)
            for each in listening:
                each.cancel()
        tried = attacked.result()
        assert service.returncode is None
        async with client.get("/livez") as response:
            assert response.status == 200
    print(f"{sum(tried.values())} attacks: {tried}")
    print(f"{len(late_s)} pieces of {STREAMS} streams, p99: {before_s * 1e3:.1f} ms, {during_s * 1e3:.1f} meanwhile")
    print(f"memory: {before_mib:.0f} MiB before, at most {most_mib - before_mib:.1f} more meanwhile")
    assert sum(tried.values()) > 130
    assert not [kind for kind in tried if kind.endswith((" 500", " 200", " 201"))], tried
    assert len(late_s) > STREAMS * ATTACK_S / (STEP_MS / 1000) / 2
    assert most_mib - before_mib < MEMORY_MIB
    assert during_s - before_s < LATER_S


async def attack(stack: AsyncExitStack, folder: Path, root: Path, port: int, key: str) -> dict[str, int]:
    script = str(Path(__file__).with_name("attackers.py"))
    attackers = await stack.enter_async_context(program(script, str(port), key, str(ATTACK_S), cwd=folder))
    out, _ = await asyncio.wait_for(attackers.communicate(), 60)
    tried: dict[str, int] = json.loads(out)
    return tried


def rss_mib(process: Process) -> float:
    return float(psutil.Process(process.pid).memory_info().rss / MIB)
