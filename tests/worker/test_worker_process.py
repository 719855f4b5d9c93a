"""A real worker's main process on a real livekit-server: its health, its places, its limits, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from aiohttp import web

from worker.api.fleet_view import FleetView
from worker.bench.stack import free_ports, spawn
from worker.setup.livekit_server import find

pytestmark = [pytest.mark.system, pytest.mark.timeout(90, method="signal")]

CAPACITY = 3
KEY, SECRET = "devkey", "a-secret-of-at-least-thirty-two-characters"
READY_S = 40.0


@dataclass
class LiveKit:
    """livekit-server on one port; it can be killed and started again."""

    program: Path
    port: int
    udp_port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        rtc = f"{{udp_port: {self.udp_port}, tcp_port: 0, node_ip: 127.0.0.1}}"
        config = f"{{port: {self.port}, bind_addresses: [127.0.0.1], rtc: {rtc}}}"
        env = {"PATH": os.environ["PATH"], "LIVEKIT_CONFIG": config, "LIVEKIT_KEYS": f"{KEY}: {SECRET}"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen([str(self.program)], env=env, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    url: str
    livekit: LiveKit
    log: Path

    def ask(self, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and body; (0, {}) when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def until(self, path: str, status: int, within_s: float = READY_S) -> float:
        began = time.monotonic()
        while self.ask(path)[0] != status:
            assert time.monotonic() < began + within_s, f"{path} is {self.ask(path)}; {self.log.read_text()[-2000:]}"
            time.sleep(0.05)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    """Says of itself that it has slots enough; nobody speaks in these tests."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "slots": CAPACITY})

    async def serve(listener: socket.socket) -> None:
        app = web.Application()
        app.router.add_get("/health", health)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, listener).start()

    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(serve(listener))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


@pytest.fixture(scope="module")
def worker(missing: Callable[[str], NoReturn], build_dir: Path, engine_url: str) -> Iterator[Worker]:
    program = find() or missing("livekit-server (`make setup` builds it)")
    folder = build_dir / "worker-process"
    folder.mkdir(exist_ok=True)
    ports = free_ports()
    livekit = LiveKit(program, int(ports["LIVEKIT_PORT"]), int(ports["LIVEKIT_UDP_PORT"]), folder / "livekit.log")
    livekit.start()
    env = ports | {
        "LIVEKIT_URL": f"ws://127.0.0.1:{livekit.port}",
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
        "LLM_PROVIDER": "embedded",
        "MAX_CALLS": "10",  # the engine's slots are fewer: they decide
        "ENGINE_URL": engine_url,
    }
    with (folder / "worker.log").open("wb") as log:
        process = spawn((sys.executable, "-m", "worker.cli", "worker"), env, log, cwd=folder)
    made = Worker(process, f"http://127.0.0.1:{ports['METRICS_PORT']}", livekit, folder / "worker.log")
    try:
        made.until("/readyz", 200)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        livekit.kill()


@pytest.fixture
async def views(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[FleetView]]:
    """What two HTTP services know of it. They wait for its word as long as a busy machine needs."""
    monkeypatch.setattr("worker.api.fleet_view.RESERVE_S", 10.0)
    made = [FleetView([worker.url]) for _ in range(2)]
    for view in made:
        await view.poll()
    yield made
    for view in made:
        await view.aclose()


def test_it_has_started_and_is_alive(worker: Worker) -> None:
    assert [worker.ask(path)[0] for path in ("/livez", "/readyz", "/startupz")] == [200, 200, 200]


async def test_three_times_capacity_at_two_services_get_exactly_the_capacity(
    worker: Worker, views: list[FleetView]
) -> None:
    async def ask(n: int) -> tuple[str | None, float]:
        asked_s = time.perf_counter()
        return await views[n % 2].reserve(f"burst-{n}"), time.perf_counter() - asked_s

    answers = await asyncio.gather(*(ask(n) for n in range(3 * CAPACITY)))
    longest_s = max(took_s for refusal, took_s in answers if refusal)
    print(
        f"{3 * CAPACITY} at once: {[r for r, _ in answers].count(None)} let in, refused within {longest_s * 1e3:.0f} ms"
    )
    assert [refusal for refusal, _ in answers].count(None) == CAPACITY
    status, fleet = worker.ask("/fleet")
    assert status == 200
    assert (fleet["capacity"], fleet["free"], len(fleet["reserved"])) == (CAPACITY, 0, CAPACITY)
    assert worker.ask("/readyz")[0] == 200  # being full is no unreadiness
    for room in fleet["reserved"]:
        worker.ask("/fleet/unreserve", {"room": room})
    assert worker.ask("/fleet")[1]["free"] == CAPACITY


def test_without_file_descriptors_new_work_is_told_why_and_the_worker_lives_on(worker: Worker) -> None:
    process = psutil.Process(worker.process.pid)
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    try:
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 8, before[1]))
        status, said = worker.ask("/fleet/reserve", {"room": "r"})
        assert (status, said["code"]) == (503, "no_descriptors")
        assert "ulimit -n" in said["message"]
        assert worker.ask("/livez")[0] == 200
    finally:
        process.rlimit(psutil.RLIMIT_NOFILE, before)
    assert worker.ask("/fleet/reserve", {"room": "r"})[0] == 200, worker.ask("/fleet")
    worker.ask("/fleet/unreserve", {"room": "r"})
    assert "no file descriptors are left" in worker.log.read_text()


def test_an_idle_job_process_that_dies_is_replaced(worker: Worker) -> None:
    """The next call must find a warm one."""
    before = idle_jobs(worker)
    assert before
    before[0].kill()
    deadline = time.monotonic() + READY_S
    while len(now := idle_jobs(worker)) < len(before) or before[0].pid in {p.pid for p in now}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert worker.ask("/readyz")[0] == 200


def test_without_livekit_it_is_alive_but_not_ready_until_livekit_is_back(worker: Worker) -> None:
    worker.livekit.kill()
    worker.until("/readyz", 503, within_s=10)
    assert [worker.ask(path)[0] for path in ("/livez", "/startupz")] == [200, 200]
    assert worker.ask("/fleet")[1]["registered"] is False
    worker.livekit.start()
    print(f"registered {worker.until('/readyz', 200, within_s=30):.1f} s after livekit-server was started again")


def test_without_a_call_sigterm_ends_it_within_five_seconds(worker: Worker) -> None:
    """The last test: it ends the worker."""
    children = psutil.Process(worker.process.pid).children(recursive=True)
    began = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(15) == 0
    took_s = time.monotonic() - began
    print(f"ended {took_s:.1f} s after SIGTERM")
    assert took_s < 10  # 5 s on a machine that is not busy with other tests
    psutil.wait_procs(children, timeout=5)
    assert [p for p in children if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def idle_jobs(worker: Worker) -> list[psutil.Process]:
    """Its warm processes: children of the forkserver."""
    found = []
    for process in psutil.Process(worker.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            parent = process.parent()
            if parent is not None and "forkserver" in " ".join(parent.cmdline()):
                found.append(process)
    return found
