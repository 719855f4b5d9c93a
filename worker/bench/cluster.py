"""A whole installation as a fleet has it, each process in the hands of a test: several workers and engines.

Every process can be killed, frozen and started again on its ports; nothing restarts by itself. Knows the command line,
the settings' names and the health routes; nothing of what runs behind them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil

from worker.bench.stack import EMBEDDED, MARK, free_ports, spawn
from worker.dev import WEBHOOK_PATH
from worker.dev.livekit import LiveKitKey, server_environment
from worker.setup import livekit_server

START_S = 90.0
END_S = 5.0
POLL_S = 0.03
LOOPBACK = "http://127.0.0.1"


class ClusterError(RuntimeError):
    """A process did not get ready or did not end; the message holds its last log lines."""


@dataclass(slots=True)
class Program:
    """One process and its descendants, in a process group of their own."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    url: str
    ready_path: str
    log_path: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        with suppress(OSError, ValueError):
            return self.is_up and self.ask(self.ready_path)[0] == 200
        return False

    def start(self) -> None:
        if self.is_up:
            return
        with self.log_path.open("ab") as log:
            self.process = spawn(self.command, self.env, log, cwd=self.log_path.parent)

    def wait_until_ready(self, deadline_s: float = START_S) -> None:
        deadline = time.monotonic() + deadline_s
        while not self.is_ready:
            if not self.is_up:
                raise ClusterError(f"{self.name} ended while it started:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{self.name} was not ready within {deadline_s:.0f} s:\n{self.log_tail()}")
            time.sleep(POLL_S)

    def members(self) -> list[psutil.Process]:
        """It and all that it started."""
        assert self.process is not None
        with suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        return []

    def send(self, number: signal.Signals) -> None:
        """To the process alone: SIGTERM, as a deployment sends it."""
        assert self.process is not None
        self.process.send_signal(number)

    def send_to_all(self, number: signal.Signals) -> None:
        """To it and all that it started: SIGKILL, SIGSTOP, SIGCONT."""
        for process in self.members():
            with suppress(psutil.Error):
                process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to all of it, and wait until it is gone."""
        if self.process is None:
            return
        self.send_to_all(signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(END_S)

    def ask(self, path: str, body: Mapping[str, Any] | None = None, timeout_s: float = 2.0) -> tuple[int, str]:
        """Status and body; OSError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
                return int(answer.status), str(answer.read().decode())
        except HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path: str) -> dict[str, Any]:
        return dict(json.loads(self.ask(path)[1]))

    def metric(self, sample: str) -> float:
        """The sum of the samples whose line begins so."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))

    def log_tail(self, lines: int = 30) -> str:
        with suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"


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
            return idle and told.get("status") == "ok" and int(told["fleet"]["free"]) == capacity
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
    key, mark = LiveKitKey.fresh(), uuid.uuid4().hex
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
        return Program(name + number, command, own, url, "/readyz", folder / f"{name}{number}.log")

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
        livekit=Program("livekit", (str(program),), {**live_env, MARK: mark}, livekit, "/", folder / "livekit.log"),
        engines=tuple(ours("engine", p, "ENGINE_PORT", str(n)) for n, p in enumerate(ports[:engines])),
        models=ours("models", first, "MODELS_PORT"),
        workers=tuple(ours("worker", p, "METRICS_PORT", str(n)) for n, p in enumerate(ports[:workers])),
        serve=ours("serve", first, "HTTP_PORT"),
        mark=mark,
    )


def wait_for(is_so: Callable[[], object], what: str, deadline_s: float) -> float:
    """Seconds until it is so; ClusterError after the deadline."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > deadline_s:
            raise ClusterError(f"within {deadline_s:.0f} s it was not so that {what}")
        time.sleep(POLL_S)
    return time.monotonic() - began
