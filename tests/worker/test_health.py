import socket

import aiohttp
import pytest

from worker.admission import Admission
from worker.health import HealthServer, WorkerState
from worker.metrics import WorkerMetrics

JOB = {"job_id": "AJ_1", "room": "r", "room_sid": "RM", "tick_age_s": 0.1, "last_turns": []}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def state():
    return {"registered": True, "draining": False, "capacity": 3, "active": 1}


@pytest.fixture
async def get(state):
    admission = Admission(lambda: ["AJ_1"])
    admission.capacity = 3
    metrics = WorkerMetrics(admission)
    metrics.note("job_killed", {})
    metrics.note("turn", {"interrupted": True, "speaking": 0.8})
    port = free_port()
    server = HealthServer(
        "127.0.0.1", port, state=lambda: WorkerState(**state), jobs=lambda: [JOB], metrics=metrics.render
    )
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def fetch(path: str):
            async with session.get(path) as response:
                return response.status, await response.text()

        yield fetch
    await server.aclose()


async def test_fleet_tells_capacity_and_jobs(get):
    status, body = await get("/fleet")
    assert status == 200
    assert '"capacity": 3' in body
    assert '"AJ_1"' in body


async def test_a_worker_that_is_registered_is_ready(get):
    assert (await get("/readyz"))[0] == 200


async def test_a_full_worker_is_still_ready(get, state):
    state["active"] = 3
    assert (await get("/readyz"))[0] == 200


@pytest.mark.parametrize(("name", "value"), [("registered", False), ("draining", True)])
async def test_a_worker_that_takes_no_calls_is_not_ready(get, state, name, value):
    state[name] = value
    assert (await get("/readyz"))[0] == 503
    assert (await get("/livez"))[0] == 200


async def test_metrics_count_calls_and_turns(get):
    _, body = await get("/metrics")
    assert "voice_calls_active 1.0" in body
    assert "voice_calls_capacity 3.0" in body
    assert "voice_jobs_killed_total 1.0" in body
    assert 'voice_turns_total{interrupted="true"} 1.0' in body
    assert 'voice_turn_seconds_count{stage="speaking"} 1.0' in body
