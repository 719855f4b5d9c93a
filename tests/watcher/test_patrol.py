"""The watcher at work on a real livekit-server. The workers are what their /fleet says; no process is behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from livekit import api
from livekit.protocol.agent_dispatch import AgentDispatch
from livekit_people import AGENT, KEY, joined

from worker import handover
from worker.api.fleet_view import FleetView
from worker.api.metrics import HttpMetrics
from worker.handover import Turn
from worker.settings import Settings
from worker.watch.patrol import Patrol

pytestmark = pytest.mark.system
TURNS = [{"role": "user", "text": "Is the gate open?", "interrupted": False}]


class Fleet:
    """A worker's /fleet."""

    def __init__(self) -> None:
        self.url = ""
        self.says: dict[str, Any] = {
            "capacity": 2,
            "active": 0,
            "draining": False,
            "registered": True,
            "jobs": [],
            "lost": [],
        }
        self.asked: list[dict[str, Any]] = []

    async def get(self, _: web.Request) -> web.Response:
        return web.json_response(self.says)

    async def release(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        return web.json_response({})


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    fleet = Fleet()
    app = web.Application()
    app.add_routes([web.get("/fleet", fleet.get), web.post("/fleet/release", fleet.release)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fleet.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fleet
    await runner.cleanup()


@asynccontextmanager
async def patrolling(livekit_url: str, fleet: Fleet, **more: Any) -> AsyncIterator[HttpMetrics]:
    settings = Settings(
        _env_file=None,
        livekit_url=livekit_url,
        livekit_api_key=KEY.name,
        livekit_api_secret=KEY.secret,
        agent_name=AGENT,
        **more,
    )
    metrics, view = HttpMetrics(), FleetView([fleet.url])
    patrol = Patrol(settings, view, metrics)
    await view.start()
    await patrol.start()
    try:
        yield metrics
    finally:
        await patrol.aclose()
        await view.aclose()


@pytest.fixture
async def livekit(livekit_url: str) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(livekit_url, KEY.name, KEY.secret) as livekit:
        yield livekit


async def until(true: Callable[[], Any], within_s: float = 15.0) -> float:
    """Seconds until it was so."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def dispatches(livekit: api.LiveKitAPI, room: str) -> list[AgentDispatch]:
    return list(await livekit.agent_dispatch.list_dispatch(room))


def count(metrics: HttpMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def test_a_room_opened_before_a_worker_was_there_gets_its_agent(
    livekit_url: str, livekit: api.LiveKitAPI, fleet: Fleet
) -> None:
    fleet.says["registered"] = False
    async with joined(livekit_url, "call-early"), patrolling(livekit_url, fleet) as metrics:
        (first,) = await dispatches(livekit, "call-early")

        async def seen() -> bool:
            return count(metrics, "voice_agentless_rooms") == 1

        async def another() -> bool:
            ids = [d.id for d in await dispatches(livekit, "call-early")]
            return len(ids) == 1 and first.id not in ids

        await until(seen)
        assert not await another()
        fleet.says["registered"] = True
        assert await until(another) <= 4.0  # promised: an agent within 2 s
        (sent,) = await dispatches(livekit, "call-early")
        told = handover.decode(sent.metadata)
        assert told is not None
        assert (told.reason, told.turns) == ("no_agent", ())


async def test_a_lost_job_is_replaced_and_its_ghost_removed(
    livekit_url: str, livekit: api.LiveKitAPI, fleet: Fleet
) -> None:
    job = {"job_id": "AJ_1", "room": "call-lost", "last_turns": TURNS}
    async with (
        joined(livekit_url, "call-lost"),
        joined(livekit_url, "call-lost", kind="agent", identity="agent-AJ_1"),
        patrolling(livekit_url, fleet) as metrics,
    ):
        fleet.says |= {"jobs": [job], "active": 1}
        (first,) = await dispatches(livekit, "call-lost")

        async def known() -> bool:
            return count(metrics, "voice_watcher_acts") == 1

        await until(known)
        fleet.says |= {"jobs": [], "active": 0, "lost": [job]}

        async def another() -> bool:
            ids = [d.id for d in await dispatches(livekit, "call-lost")]
            return len(ids) == 1 and first.id not in ids

        await until(another)
        (sent,) = await dispatches(livekit, "call-lost")
        told = handover.decode(sent.metadata)
        assert told is not None
        assert (told.reason, told.turns) == ("job_lost", (Turn("user", "Is the gate open?"),))
        assert count(metrics, "voice_ghosts_removed_total") == 1
        people = await livekit.room.list_participants(api.ListParticipantsRequest(room="call-lost"))
        assert len(people.participants) == 1


async def test_of_two_living_agents_one_is_released(livekit_url: str, fleet: Fleet) -> None:
    jobs = [{"job_id": f"AJ_{n}", "room": "call-two", "last_turns": []} for n in (1, 2)]
    fleet.says |= {"jobs": jobs, "active": 2}
    async with (
        joined(livekit_url, "call-two"),
        joined(livekit_url, "call-two", kind="agent", identity="agent-AJ_1"),
        joined(livekit_url, "call-two", kind="agent", identity="agent-AJ_2"),
        patrolling(livekit_url, fleet),
    ):

        async def asked() -> bool:
            return bool(fleet.asked)

        await until(asked)
    assert fleet.asked[0] == {"room": "call-two", "action": "release", "job_id": "AJ_2"}


async def test_of_two_watchers_with_a_lease_one_acts(
    livekit_url: str, livekit: api.LiveKitAPI, fleet: Fleet, redis_url: str
) -> None:
    async with (
        joined(livekit_url, "call-lease"),
        patrolling(livekit_url, fleet, redis_url=redis_url) as first,
        patrolling(livekit_url, fleet, redis_url=redis_url) as second,
    ):

        async def sent() -> bool:
            return count(first, "voice_redispatches_total", cause="no_agent") == 1

        await until(sent)
        assert count(second, "voice_redispatches_total", cause="no_agent") == 0
        assert (count(first, "voice_watcher_acts"), count(second, "voice_watcher_acts")) == (1, 0)
        assert len(await dispatches(livekit, "call-lease")) == 1
