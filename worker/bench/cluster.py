"""A whole installation as a fleet has it, each process in the hands of a test: several workers and engines.

Every process can be killed, frozen and started again on its ports; nothing restarts by itself. Knows the command line,
the settings' names and the health routes; nothing of what runs behind them.
"""

from __future__ import annotations

import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from worker.bench.program import POLL_S, ClusterError, Guard, Program
from worker.bench.stack import EMBEDDED, MARK, free_ports
from worker.dev import WEBHOOK_PATH
from worker.dev.livekit import LiveKitKey, server_environment
from worker.setup import livekit_server

LOOPBACK = "http://127.0.0.1"


@dataclass(slots=True)
class Cluster:
    key: LiveKitKey
    livekit_url: str
    agent_name: str
    livekit: Program
    engines: tuple[Program, ...]
    models: Program
    workers: tuple[Program, ...]
    serve: Program
    mark: str
    guard: Guard

    @property
    def programs(self) -> tuple[Program, ...]:
        return (self.livekit, *self.engines, self.models, *self.workers, self.serve)

    @property
    def http_url(self) -> str:
        return self.serve.url

    def start(self) -> None:
        """Whatever is not there; at once when all is."""
        for program in self.programs:
            program.start()
        for program in self.programs:
            program.wait_until_ready()

    def heal(self, *, idle_s: float = 30.0) -> None:
        """Thaw and start what a test froze or killed, and wait until no call is left and every place is free."""
        for program in self.programs:
            if program.is_up:
                program.send_to_all(signal.SIGCONT)
        self.start()
        deadline = time.monotonic() + idle_s
        while not self._is_idle():
            if time.monotonic() > deadline:
                raise ClusterError(f"calls of an earlier test are left: {[w.json('/fleet') for w in self.workers]}")
            time.sleep(POLL_S)

    def _is_idle(self) -> bool:
        with suppress(OSError, ValueError, KeyError):
            fleets = [worker.json("/fleet") for worker in self.workers]
            told = self.serve.json("/health")
            capacity = sum(fleet["capacity"] for fleet in fleets)
            idle = all(fleet["active"] == 0 and not fleet["jobs"] for fleet in fleets)
            return idle and told.get("status") == "ok" and int(told["fleet"]["free"]) == capacity > 0
        return False

    def worker_of(self, room: str) -> Program:
        """The worker whose job is in `room`."""
        for worker in self.workers:
            with suppress(OSError, ValueError, KeyError):
                if any(job["room"] == room for job in worker.json("/fleet")["jobs"]):
                    return worker
        raise ClusterError(f"no worker has a job in {room}")

    def end(self) -> None:
        for program in self.programs:
            if program.process is not None:
                program.kill()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.mark:
                    process.kill()
        self.guard.end()


def job_processes(worker: Program) -> list[psutil.Process]:
    """The processes of its calls: the ones below it that hold media sockets."""
    found = []
    for process in worker.members()[1:]:
        with suppress(psutil.Error):
            if "python" in process.name() and process.net_connections(kind="udp"):
                found.append(process)
    return found


@contextmanager
def running_cluster(folder: Path, env: Mapping[str, str], *, workers: int = 2, engines: int = 2) -> Iterator[Cluster]:
    """`env`: settings for every process. Killed at the end; nothing of it is left."""
    cluster = make_cluster(folder, env, workers=workers, engines=engines)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()


def make_cluster(folder: Path, env: Mapping[str, str], *, workers: int, engines: int) -> Cluster:
    program = livekit_server.find()
    if program is None:
        raise ClusterError("livekit-server is not installed: `make setup` builds it")
    key, mark, ender = LiveKitKey.fresh(), uuid.uuid4().hex, Guard()
    ports = [free_ports() for _ in range(max(workers, engines))]
    first = ports[0]
    engine_urls = [f"{LOOPBACK}:{p['ENGINE_PORT']}" for p in ports[:engines]]
    worker_urls = [f"{LOOPBACK}:{p['METRICS_PORT']}" for p in ports[:workers]]
    shared = {
        **EMBEDDED,
        MARK: mark,
        "LIVEKIT_URL": f"ws://127.0.0.1:{first['LIVEKIT_PORT']}",
        "LIVEKIT_API_KEY": key.name,
        "LIVEKIT_API_SECRET": key.secret,
        "ENGINE_URLS": ",".join(engine_urls),
        "WORKER_URLS": ",".join(worker_urls),
        "CACHE_DIR": str(folder / "cache"),
        **env,
    }

    def ours(name: str, own: Mapping[str, str], port: str, number: str = "") -> Program:
        command = (sys.executable, "-m", "worker.cli", name)
        own = {**first, **own, **shared}
        url = f"{LOOPBACK}:{own[port]}"
        return Program(name + number, command, own, url, "/readyz", folder / f"{name}{number}.log", ender)

    live_env = server_environment(
        key,
        port=int(first["LIVEKIT_PORT"]),
        udp_port=int(first["LIVEKIT_UDP_PORT"]),
        webhook_url=f"{LOOPBACK}:{first['HTTP_PORT']}{WEBHOOK_PATH}",
    )
    livekit = f"{LOOPBACK}:{first['LIVEKIT_PORT']}"
    folder.mkdir(parents=True, exist_ok=True)
    return Cluster(
        key=key,
        livekit_url=shared["LIVEKIT_URL"],
        agent_name=shared.get("AGENT_NAME", "tts-ops"),
        livekit=Program(
            "livekit", (str(program),), {**live_env, MARK: mark}, livekit, "/", folder / "livekit.log", ender
        ),
        engines=tuple(ours("engine", p, "ENGINE_PORT", str(n)) for n, p in enumerate(ports[:engines])),
        models=ours("models", first, "MODELS_PORT"),
        workers=tuple(ours("worker", p, "METRICS_PORT", str(n)) for n, p in enumerate(ports[:workers])),
        serve=ours("serve", first, "HTTP_PORT"),
        mark=mark,
        guard=ender,
    )


def wait_for(is_so: Callable[[], object], what: str, deadline_s: float) -> float:
    """Seconds until it is so; ClusterError after the deadline."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > deadline_s:
            raise ClusterError(f"within {deadline_s:.0f} s it was not so that {what}")
        time.sleep(POLL_S)
    return time.monotonic() - began
