"""Two workers on one LiveKit server, one place each: a full one passes a call on to the other."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import pytest
from livekit import api

from worker.bench.caller import in_room
from worker.bench.invitation import Invitation
from worker.bench.stack import free_ports, spawn

AGENT = "pair"
READY_S = 60.0
STOP_S = 15.0


@dataclass(frozen=True)
class Worker:
    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(self.url + path, timeout=2) as answer:
            return json.load(answer)

    @property
    def is_ready(self) -> bool:
        with suppress(OSError):
            self.get("/readyz")
            return True
        return False


@pytest.fixture(scope="module")
def env(_scripted_stack) -> dict[str, str]:
    """What the installation's own worker was given; the two new ones answer to another name."""
    return _scripted_stack.stack.environment_of("worker") | {
        "AGENT_NAME": AGENT,
        "MAX_CALLS": "1",
        "DRAIN_TIMEOUT": "1800",
    }


@pytest.fixture(scope="module")
def _workers(env, tmp_path_factory) -> Iterator[list[Worker]]:
    started = [_start(env, tmp_path_factory.mktemp("worker") / "log") for _ in (1, 2)]
    try:
        deadline = time.monotonic() + READY_S
        while not all(worker.is_ready for worker in started):
            assert time.monotonic() < deadline, "the workers did not register"
            time.sleep(0.1)
        yield started
    finally:
        for worker in started:
            worker.process.send_signal(signal.SIGTERM)
        for worker in started:
            try:
                worker.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                raise


@pytest.fixture
async def workers(_workers) -> list[Worker]:
    """Both, without a call."""
    async with asyncio.timeout(10):
        while any(worker.get("/fleet")["active"] for worker in _workers):
            await asyncio.sleep(0.05)
    return _workers


async def test_two_calls_at_the_same_moment_get_a_worker_each(workers, env) -> None:
    async with AsyncExitStack() as calls:
        callers = await asyncio.gather(*(calls.enter_async_context(in_room(_invitation(env, n))) for n in (1, 2)))
        await asyncio.gather(*(caller.agent(deadline_s=20) for caller in callers))
        await callers[0].until(
            lambda: [w.get("/fleet")["active"] for w in workers] == [1, 1], "each worker had a call", deadline_s=5
        )


async def test_a_full_worker_leaves_the_call_to_the_other(workers, env) -> None:
    async with in_room(_invitation(env, 3)) as first:
        await first.heard_after(0.0, deadline_s=20)
        full = [w for w in workers if w.get("/fleet")["active"] == 1]
        assert len(full) == 1
        async with in_room(_invitation(env, 4)) as second:
            await second.heard_after(0.0, deadline_s=20)
            assert [w.get("/fleet")["active"] for w in workers] == [1, 1]


def _start(env: dict[str, str], log_path) -> Worker:
    ports = {k: v for k, v in free_ports().items() if k in ("METRICS_PORT", "WORKER_HEALTH_PORT")}
    with log_path.open("wb") as log:
        process = spawn((sys.executable, "-m", "worker.cli", "worker"), env | ports, log, cwd=log_path.parent)
    return Worker(f"http://127.0.0.1:{ports['METRICS_PORT']}", process)


def _invitation(env: dict[str, str], number: int) -> Invitation:
    """A room of our own: /token would ask the other worker's fleet."""
    room = f"pair-{number}-{time.time_ns()}"
    token = (
        api.AccessToken(env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"])
        .with_identity(f"caller-{number}")
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .with_room_config(api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=AGENT)]))
    )
    return Invitation(env["LIVEKIT_URL"], token.to_jwt(), room)
