"""`tts-ops bench transport`: the way from the engine's step to a client's socket, without a model.

N listeners in real time in this process, the engine in one of its own. Counts how late each latent is here after the
step that made it, and what the engine's process costs.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
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
            "server_cores": self.server_cores,
            "client_cores": self.client_cores,
        }


def run(*, streams: int, sockets: int, seconds: float, step_ms: float, json_path: Path | None) -> int:
    """Measure and print. 0: every listener heard everything in time."""
    here = machine.describe()
    print(f"bench: {streams} listeners on {sockets} sockets for {seconds:.0f} s", file=sys.stderr, flush=True)
    carried = asyncio.run(carry(streams, sockets, seconds, step_ms))
    figures = carried.summary()
    print(f"\nengine without a model on {here.cores} cores {here.cpu}, {here.busy_percent:.0f} % busy before\n")
    for name, value in figures.items():
        print(f"  {name:16} {value:10.2f}" if isinstance(value, float) else f"  {name:16} {value:10}")
    if json_path is not None:
        json_path.write_text(json.dumps({"machine": asdict(here), **figures}, indent=1) + "\n", encoding="utf-8")
    return 1 if carried.underruns else 0


async def carry(streams: int, sockets: int, seconds: float, step_ms: float) -> Carried:
    """Let `streams` listeners hear for `seconds`."""
    with _engine(streams, step_ms) as (url, process):
        async with _clients(url, sockets) as clients:
            ear = _Ear(clients, streams)
            async with ear.listening():
                await asyncio.sleep(_WARM_UP_S)
                ear.counting = True
                started, server_s, own_s = time.monotonic(), _cpu_s(process), time.process_time()
                await asyncio.sleep(seconds)
                ear.counting = False
                took = time.monotonic() - started
                server_s, own_s = _cpu_s(process) - server_s, time.process_time() - own_s
    return Carried(streams, sockets, took, step_ms, tuple(ear.lateness_s), ear.underruns, server_s / took, own_s / took)


class _Ear:
    """All listeners. Each plays in real time and starts anew when its text is over."""

    def __init__(self, clients: Sequence[EngineClient], streams: int) -> None:
        self.lateness_s: list[float] = []
        self.underruns = 0
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
        dry_at_s = 0.0
        async for item in utterance:
            if not isinstance(item, Audio):
                continue
            now = time.monotonic()
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


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
