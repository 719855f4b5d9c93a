"""What the service makes of the workers' /fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from http_parts import NOWHERE, StartFleet, serving, until

from worker.api.fleet_view import FleetView
from worker.api.ledger import RESERVED_S, STALE_AFTER_S

ONE, TWO = NOWHERE, NOWHERE.replace("127.0.0.1", "127.0.0.2")


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def fleet(*rooms: str, capacity: int = 3, active: int | None = None, draining: bool = False) -> dict[str, object]:
    jobs = [{"room": room} for room in rooms]
    return {
        "capacity": capacity,
        "active": len(rooms) if active is None else active,
        "draining": draining,
        "jobs": jobs,
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def view(clock: Clock) -> AsyncIterator[FleetView]:
    """Of two workers that hold no places by word: the copies decide."""
    made = FleetView([ONE, TWO], clock=clock)
    yield made
    await made.aclose()


async def test_nobody_answers_is_not_the_same_as_full(view: FleetView) -> None:
    assert await view.reserve("a") == "no_agents"
    view.note(ONE, fleet("x", capacity=1))
    assert await view.reserve("a") == "at_capacity"


def test_room_is_the_sum_over_workers(view: FleetView) -> None:
    view.note(ONE, fleet("x", capacity=2))
    view.note(TWO, fleet("y", "z", capacity=5))
    assert view.free() == 4


def test_workers_that_share_an_engine_share_its_slots(view: FleetView) -> None:
    shared = {"engines": {"http://engine.example.test": 4}}
    view.note(ONE, fleet("x", capacity=3) | shared)
    view.note(TWO, fleet("y", capacity=3) | shared)
    assert view.free() == 2


def test_a_stopping_worker_s_calls_still_need_the_shared_engine(view: FleetView) -> None:
    shared = {"engines": {"http://engine.example.test": 4}}
    view.note(ONE, fleet("x", "z", capacity=3, draining=True) | shared)
    view.note(TWO, fleet("y", capacity=4) | shared)
    assert view.free() == 1


def test_engines_at_the_loopback_of_two_machines_are_two(view: FleetView) -> None:
    own = {"engines": {"http://127.0.0.1:8001": 4}}
    view.note(ONE, fleet("x", capacity=3) | own)
    view.note(TWO, fleet("y", capacity=3) | own)
    assert view.free() == 4


async def test_a_token_holds_its_place_until_its_room_has_a_job(view: FleetView) -> None:
    view.note(ONE, fleet(capacity=2))
    assert await view.reserve("a") is None
    assert view.free() == 1
    view.note(ONE, fleet("a", capacity=2))
    assert view.free() == 1


async def test_a_token_that_nobody_used_gives_its_place_back(view: FleetView, clock: Clock) -> None:
    view.note(ONE, fleet(capacity=1))
    await view.reserve("a")
    clock.now_s += RESERVED_S - 0.1
    view.note(ONE, fleet(capacity=1))
    assert await view.reserve("b") == "at_capacity"
    clock.now_s += 0.2
    assert await view.reserve("b") is None


async def test_a_call_that_its_job_has_not_named_yet_is_counted_once(view: FleetView) -> None:
    view.note(ONE, fleet(capacity=3))
    await view.reserve("a")
    view.note(ONE, fleet(capacity=3, active=1))
    assert view.free() == 2
    assert await view.reserve("b") is None
    assert await view.reserve("c") is None
    assert await view.reserve("d") == "at_capacity"


async def test_a_call_that_came_by_another_door_takes_its_place(view: FleetView) -> None:
    view.note(ONE, fleet(capacity=2, active=2))
    assert await view.reserve("a") == "at_capacity"


async def test_a_draining_worker_has_no_room(view: FleetView) -> None:
    view.note(ONE, fleet(capacity=3, draining=True))
    assert await view.reserve("a") == "no_agents"


async def test_a_worker_that_is_not_registered_has_no_room(view: FleetView) -> None:
    view.note(ONE, {**fleet(), "registered": False})
    assert await view.reserve("a") == "no_agents"


async def test_the_last_copy_is_kept_for_a_while(view: FleetView, clock: Clock) -> None:
    view.note(ONE, fleet())
    clock.now_s += STALE_AFTER_S
    assert view.free() == 3
    clock.now_s += 0.01
    assert await view.reserve("a") == "no_agents"


@pytest.mark.parametrize("said", [{}, {"capacity": "many"}, {"capacity": 1, "active": 0, "draining": False, "jobs": 7}])
async def test_nonsense_is_not_an_answer(start_fleet: StartFleet, said: dict[str, object]) -> None:
    server = await start_fleet()
    server.says = said
    view = FleetView([server.url])
    await view.poll()
    assert view.workers() == []
    await view.aclose()


async def test_an_error_page_is_not_an_answer(start_fleet: StartFleet) -> None:
    server = await start_fleet()
    server.status = 403
    view = FleetView([server.url])
    await view.poll()
    assert view.workers() == []
    await view.aclose()


async def test_a_hanging_and_a_missing_worker_do_not_hide_the_third(start_fleet: StartFleet) -> None:
    good, hanging = await start_fleet(), await start_fleet()
    hanging.delay_s = 30
    view = FleetView([NOWHERE, hanging.url, good.url])
    await view.start()
    try:
        async with asyncio.timeout(2):
            await view.polled.wait()
        assert view.free() == 2
    finally:
        await view.aclose()


async def test_it_follows_the_worker(start_fleet: StartFleet) -> None:
    server = await start_fleet()
    view = FleetView([server.url])
    await view.start()
    try:
        await until(lambda: view.free() == 2)
        server.begin("a")
        await until(lambda: view.free() == 1, within_s=1.5)
    finally:
        await view.aclose()


async def test_it_leaves_no_task(start_fleet: StartFleet) -> None:
    before = asyncio.all_tasks()
    view = FleetView([NOWHERE])
    await view.start()
    await view.polled.wait()
    await view.aclose()
    assert asyncio.all_tasks() == before


async def test_a_worker_without_descriptors_is_told_as_that() -> None:
    async def out_of_them(_: web.Request) -> web.Response:
        return web.json_response({"code": "no_descriptors", "message": "none left"}, status=503)

    async with serving("POST", "/fleet/reserve", out_of_them) as url:
        view = FleetView([url])
        try:
            view.note(url, fleet(capacity=2))
            assert await view.reserve("a") == "no_descriptors"
            assert view.free() == 2
        finally:
            await view.aclose()
