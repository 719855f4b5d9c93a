"""A worker that stops with a call: the call goes on to its end, or it moves, or it is told goodbye; nothing else."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit import api

from worker.bench.caller import Caller, in_room
from worker.bench.invitation import Invitation
from worker.bench.stack import free_ports, spawn

AGENT = "drained"
READY_S = 60.0
END_S = 10.0  # promised are 5 s; this machine also runs the rest of the installation


@dataclass(frozen=True)
class Worker:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, path: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    @property
    def fleet(self) -> dict[str, Any]:
        return dict(self.ask("/fleet")[1])

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(self.url + "/metrics", timeout=2) as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(name + " "))

    async def ends(self) -> float:
        """Seconds until its process is over."""
        began = time.monotonic()
        await within(END_S, lambda: self.process.poll() is not None)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def workers_to_stop(_scripted_stack, tmp_path_factory) -> Iterator[list[Worker]]:
    """One for each test to stop; they answer to another name than the installation's own."""
    env = _scripted_stack.stack.environment_of("worker") | {"AGENT_NAME": AGENT, "MAX_CALLS": "2"}
    started = [_start(env, tmp_path_factory.mktemp("drain")) for _ in range(2)]
    try:
        deadline = time.monotonic() + READY_S
        while not all(worker.ask("/readyz")[0] == 200 for worker in started):
            assert time.monotonic() < deadline, "the workers did not register"
            time.sleep(0.1)
        yield started
    finally:
        for worker in started:
            worker.process.kill()
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(5)


def _start(env: dict[str, str], folder: Path) -> Worker:
    ports = {k: v for k, v in free_ports().items() if k in ("METRICS_PORT", "WORKER_HEALTH_PORT")}
    with (folder / "log").open("wb") as log:
        process = spawn((sys.executable, "-m", "worker.cli", "worker"), env | ports, log, cwd=folder)
    return Worker(f"http://127.0.0.1:{ports['METRICS_PORT']}", process, folder / "log")


@pytest.fixture
async def call(_scripted_stack):
    """Opens calls in rooms of our own: /token would ask the installation's worker."""
    stack = _scripted_stack.stack
    env = stack.environment_of("worker")
    async with AsyncExitStack() as calls:

        async def open_call(name: str) -> Caller:
            room = f"{name}-{time.time_ns()}"
            token = (
                api.AccessToken(env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"])
                .with_identity(f"caller-{name}")
                .with_grants(api.VideoGrants(room_join=True, room=room))
                .with_room_config(api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=AGENT)]))
            )
            return await calls.enter_async_context(in_room(Invitation(env["LIVEKIT_URL"], token.to_jwt(), room)))

        yield open_call


async def test_a_stopping_worker_finishes_its_call_and_leaves_new_ones_to_another(stack, workers_to_stop, call) -> None:
    first = await call("first")
    await first.heard_after(0.0, deadline_s=30.0)
    old, new = sorted(workers_to_stop, key=lambda w: -w.fleet["active"])

    old.process.send_signal(signal.SIGTERM)
    await within(2, lambda: old.ask("/readyz")[0] == 503)
    assert (old.fleet["draining"], old.fleet["hand_over"]) == (True, [])
    assert old.ask("/livez")[0] == 200
    assert old.ask("/fleet/reserve", {"room": "r"})[1]["code"] == "draining"

    second = await call("second")
    await second.agent(deadline_s=20.0)
    assert [job["room"].split("-")[0] for job in new.fleet["jobs"]] == ["second"]
    await second.hang_up()

    await first.interrupt()
    await first.quiet()
    sent_s = await first.type("Are you still there?")
    await first.heard_after(sent_s)
    assert old.metric("voice_drain_seconds") > 0
    await first.hang_up()
    print(f"the worker ended {await old.ends():.1f} s after its last call")
    assert old.process.returncode == 0


async def test_calls_that_must_go_are_named_and_then_moved_or_told_goodbye(stack, workers_to_stop, call) -> None:
    """What the watcher does. A moved caller stays connected; one that nobody has a place for hears why."""
    old = next(worker for worker in workers_to_stop if worker.process.poll() is None)
    await within(15, lambda: old.fleet["active"] == 0)
    moved, cut = await call("moved"), await call("cut")
    before = await moved.agent(deadline_s=20.0)
    await cut.heard_after(0.0, deadline_s=30.0)
    await cut.interrupt()
    await cut.quiet()

    old.process.send_signal(signal.SIGTERM)
    await within(2, lambda: old.ask("/readyz")[0] == 503)
    old.process.send_signal(signal.SIGTERM)  # a second time: now
    await within(5, lambda: len(old.fleet["hand_over"]) == 2)
    cut_room, moved_room = sorted(old.fleet["hand_over"])
    assert old.ask("/fleet/release", {"room": moved_room, "action": "release"})[0] == 200
    gone = "the agent left the room to another"
    await moved.until(lambda: before.identity not in moved._room.remote_participants or None, gone, deadline_s=10)
    assert moved.ended is None

    told_s = time.monotonic()
    assert old.ask("/fleet/release", {"room": cut_room, "action": "goodbye"})[0] == 200
    await within(2, lambda: old.metric("voice_calls_cut_total") == 1)
    await cut.heard_after(told_s)
    await cut.until(lambda: cut.ended, "the call was over", deadline_s=20)
    await old.ends()


async def within(seconds: float, is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.05)
