"""`tts-ops bench transport`: the way from the engine's step to a client's socket, without a model.

N listeners in real time in this process, the engine in one of its own. Counts how late each latent is here after the
step that made it, and what the engine's process costs. With `service` the HTTP service's /stream stands between.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tts_plugin.client import EngineClient, Utterance
from tts_plugin.protocol import Audio
from worker.bench import machine
from worker.bench.figures import percentile
from worker.bench.null_engine import read_stamp

SENTENCE = "The kitchen opens at seven, the garden is closed today, and the terrace is free until ten. "
LATENT_S = 3_200 / 24_000
LATE_S = 0.025
START_TIMEOUT_S = 30.0
_WARM_UP_S = 5.0  # the listeners' lead is filled, nothing is counted


@dataclass(frozen=True, slots=True)
class Carried:
    """`lateness_s`: of every latent, from the end of its step to its arrival. `server_cores`: CPU ÷ wall time."""

    streams: int
    sockets: int
    seconds: float
    step_ms: float
    lateness_s: tuple[float, ...]
    underruns: int
    server_cores: float
    client_cores: float
    service_cores: float = 0.0
    misplaced: int = 0  # latents that were not where the one before ended

    @property
    def latents_per_s(self) -> float:
        return len(self.lateness_s) / self.seconds

    def summary(self) -> dict[str, float | int]:
        late = {f"late_p{p}_ms": 1000 * percentile(self.lateness_s, p) for p in (50, 95, 99)}
        return {
            "streams": self.streams,
            "sockets": self.sockets,
            "step_ms": self.step_ms,
            "latents_per_s": self.latents_per_s,
            **late,
            "late_max_ms": 1000 * max(self.lateness_s),
            "beyond_25_ms": sum(late > LATE_S for late in self.lateness_s),
            "latents": len(self.lateness_s),
            "underruns": self.underruns,
            "misplaced": self.misplaced,
            "server_cores": self.server_cores,
            "service_cores": self.service_cores,
            "client_cores": self.client_cores,
        }


def run(
    *, streams: int, sockets: int, seconds: float, step_ms: float, json_path: Path | None, service: bool = False
) -> int:
    """Measure and print. 0: every listener heard everything in time."""
    here = machine.describe()
    print(f"bench: {streams} listeners on {sockets} sockets for {seconds:.0f} s", file=sys.stderr, flush=True)
    carried = asyncio.run(carry(streams, sockets, seconds, step_ms, service=service))
    figures = carried.summary()
    print(f"\nengine without a model on {here.cores} cores {here.cpu}, {here.busy_percent:.0f} % busy before\n")
    for name, value in figures.items():
        print(f"  {name:16} {value:10.2f}" if isinstance(value, float) else f"  {name:16} {value:10}")
    if json_path is not None:
        json_path.write_text(json.dumps({"machine": asdict(here), **figures}, indent=1) + "\n", encoding="utf-8")
    return 1 if carried.underruns or carried.misplaced else 0


async def carry(streams: int, sockets: int, seconds: float, step_ms: float, *, service: bool = False) -> Carried:
    """Let `streams` listeners hear for `seconds`."""
    with ExitStack() as stack:
        url, process = stack.enter_context(_engine(streams, step_ms))
        between: psutil.Process | None = None
        if service:
            url, between = stack.enter_context(_service(url))
        async with _clients(url, sockets) as clients:
            ear = _Ear(clients, streams)
            async with ear.listening():
                await asyncio.sleep(_WARM_UP_S)
                ear.counting = True
                started, server_s, own_s = time.monotonic(), _cpu_s(process), time.process_time()
                service_s = _cpu_s(between)
                await asyncio.sleep(seconds)
                ear.counting = False
                took = time.monotonic() - started
                server_s, own_s = _cpu_s(process) - server_s, time.process_time() - own_s
                service_s = _cpu_s(between) - service_s
    return Carried(
        streams,
        sockets,
        took,
        step_ms,
        tuple(ear.lateness_s),
        ear.underruns,
        server_s / took,
        own_s / took,
        service_s / took,
        ear.misplaced,
    )


class _Ear:
    """All listeners. Each plays in real time and starts anew when its text is over."""

    def __init__(self, clients: Sequence[EngineClient], streams: int) -> None:
        self.lateness_s: list[float] = []
        self.underruns = self.misplaced = 0
        self.counting = False
        self._clients, self._streams = clients, streams

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._listen(n), name=f"listener-{n}") for n in range(self._streams)]
            yield
            for task in tasks:
                task.cancel()

    async def _listen(self, number: int) -> None:
        client = self._clients[number % len(self._clients)]
        await asyncio.sleep(LATENT_S * (number / self._streams) * 8)  # calls do not begin together
        while True:
            utterance = await client.say(voice="default")
            try:
                utterance.feed(SENTENCE * 40)
                utterance.end()
                await self._hear(utterance)
            finally:
                utterance.cancel()

    async def _hear(self, utterance: Utterance) -> None:
        dry_at_s, expected = 0.0, 0
        async for item in utterance:
            if not isinstance(item, Audio):
                continue
            now = time.monotonic()
            self.misplaced += item.offset != expected
            expected = item.offset + item.samples
            ran_dry = 0 < dry_at_s < now - LATE_S
            if self.counting:
                self.lateness_s.append(now - read_stamp(item.pcm))
                self.underruns += ran_dry
            if ran_dry or not dry_at_s:
                dry_at_s = now  # each wait moves what follows
            dry_at_s += item.samples / 24_000


@contextmanager
def _engine(slots: int, step_ms: float) -> Iterator[tuple[str, psutil.Process]]:
    command = [sys.executable, "-m", "worker.bench.null_engine", str(slots), str(step_ms)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        yield f"http://127.0.0.1:{port}", psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(10)


@asynccontextmanager
async def _clients(url: str, sockets: int) -> AsyncIterator[list[EngineClient]]:
    clients = [EngineClient(url, connect_timeout_s=START_TIMEOUT_S) for _ in range(sockets)]
    try:
        await asyncio.gather(*(client.connect() for client in clients))
        yield clients
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


@contextmanager
def _service(engine_url: str) -> Iterator[tuple[str, psutil.Process]]:
    """The HTTP service in front of that engine, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {
        "ENGINE_URL": engine_url,
        "HTTP_PORT": str(port),
        "WATCH_ROOMS": "false",
        "LIVEKIT_API_SECRET": secrets.token_urlsafe(36),
        "RATE_PER_MINUTE": "1000000",
        "LOG_LEVEL": "ERROR",
    }
    child = subprocess.Popen([sys.executable, "-m", "worker.cli", "serve"], env=env)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _is_ready(port):
            assert time.monotonic() < deadline, "the HTTP service did not start"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(10)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _cpu_s(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)
