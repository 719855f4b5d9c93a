"""The engine's process from its first moment to its last: what the probes say, and who is still served."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tts_plugin.client import EngineClient, EngineFailed, EngineUnreachable
from tts_plugin.protocol import Audio

PROGRAM = """
import sys, time
from pathlib import Path
from tts_plugin import server
from tts_plugin.engine import create
from tts_plugin.engine.config import EngineConfig
port, drain_s, gate = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])

def open_backend(config):
    while not gate.exists():
        time.sleep(0.01)
    return create.open_backend(config)

server.open_backend = open_backend
server.run(EngineConfig(backend="embedded"), "127.0.0.1", port, drain_s=drain_s)
"""
TEXT = "One more thing, and then I will let you go, because it is late and you must be tired. " * 2
WITHIN_S = 40.0  # a busy machine


class Engine:
    def __init__(self, port: int, drain_s: float, gate: Path) -> None:
        self.url, self._gate = f"http://127.0.0.1:{port}", gate
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(port), str(drain_s), str(gate)])

    def may_load(self) -> None:
        self._gate.touch()

    def ended(self) -> int:
        return self.process.wait(timeout=WITHIN_S)


@pytest.fixture
def start(unused_port: int, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    engines = []

    def start(drain_s: float = 0.0) -> Engine:
        engines.append(Engine(unused_port, drain_s, tmp_path / "may-load"))
        return engines[-1]

    yield start
    for engine in engines:
        if engine.process.poll() is None:
            engine.process.kill()
            engine.process.wait()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


async def status(http: aiohttp.ClientSession, url: str) -> int:
    try:
        async with http.get(url) as response:
            return response.status
    except aiohttp.ClientError:
        return 0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.02)


async def ready(engine: Engine, http: aiohttp.ClientSession) -> EngineClient:
    engine.may_load()

    async def is_ready() -> bool:
        return await status(http, f"{engine.url}/readyz") == 200

    await until(is_ready)
    return EngineClient(engine.url, connect_timeout_s=10)


async def test_while_the_voice_is_loaded_the_process_lives_but_has_not_started(
    start: Callable[..., Engine], http: aiohttp.ClientSession
) -> None:
    engine = start()

    async def lives() -> bool:
        return await status(http, f"{engine.url}/livez") == 200

    await until(lives)
    assert await status(http, f"{engine.url}/startupz") == 503
    assert await status(http, f"{engine.url}/readyz") == 503
    async with http.post(f"{engine.url}/synthesize", json={"text": "Hello."}) as response:
        assert (response.status, (await response.json())["code"]) == (503, "loading")
        assert response.headers["Retry-After"] == "1"
    with pytest.raises(EngineUnreachable):
        await EngineClient(engine.url).connect()
    client = await ready(engine, http)
    assert await status(http, f"{engine.url}/startupz") == 200
    assert [voice["id"] for voice in await client.voices()]
    await client.aclose()


async def test_a_signal_while_loading_ends_the_process(
    start: Callable[..., Engine], http: aiohttp.ClientSession
) -> None:
    engine = start()

    async def lives() -> bool:
        return await status(http, f"{engine.url}/livez") == 200

    await until(lives)
    engine.process.send_signal(signal.SIGTERM)
    assert engine.ended() == 0


async def test_sigterm_lets_the_running_utterance_end_and_takes_no_new_one(
    start: Callable[..., Engine], http: aiohttp.ClientSession
) -> None:
    engine = start(drain_s=WITHIN_S)
    client = await ready(engine, http)
    running = await client.say()
    running.feed("Well, this is what I wanted to say, ")
    heard = 0
    async for item in running:
        heard += item.samples if isinstance(item, Audio) else 0
        if heard:
            break
    engine.process.send_signal(signal.SIGTERM)

    async def drains() -> bool:
        return await status(http, f"{engine.url}/readyz") == 503

    await until(drains)
    assert await status(http, f"{engine.url}/livez") == 200
    with pytest.raises(EngineFailed) as refused:
        async for _ in await client.say():
            pass
    assert (refused.value.code, refused.value.retryable) == ("draining", True)
    running.feed("and that was all.")
    running.end()
    async for item in running:
        heard += item.samples if isinstance(item, Audio) else 0
    assert heard == running.samples
    ended_at = time.monotonic()
    assert engine.ended() == 0
    print(f"the process ended {time.monotonic() - ended_at:.2f} s after the last word")
    await client.aclose()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_a_drain(
    start: Callable[..., Engine], http: aiohttp.ClientSession, second: signal.Signals
) -> None:
    engine = start(drain_s=600)
    client = await ready(engine, http)
    await anext(await client.say())
    engine.process.send_signal(signal.SIGTERM)

    async def drains() -> bool:
        return await status(http, f"{engine.url}/readyz") == 503

    await until(drains)
    assert engine.process.poll() is None
    engine.process.send_signal(second)
    assert engine.ended() == 0
    await client.aclose()


async def test_a_drain_ends_at_its_deadline(start: Callable[..., Engine], http: aiohttp.ClientSession) -> None:
    engine = start(drain_s=0.5)
    client = await ready(engine, http)
    await anext(await client.say())
    engine.process.send_signal(signal.SIGTERM)
    assert engine.ended() == 0
    await client.aclose()
