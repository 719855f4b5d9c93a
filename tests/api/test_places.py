"""Places for calls, between real routes of workers and services that ask them at the same moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from http_parts import NOWHERE, Start, until

from worker.admission import Admission
from worker.api.fleet_view import FleetView
from worker.health import HealthServer, WorkerDesk, WorkerState
from worker.job_link import Command

KEY = "the-fleet-s-own-key"


class WorkerRoutes:
    """A worker's own routes and its own admission; only the calls are the test's."""

    def __init__(self, capacity: int) -> None:
        self.calls: set[str] = set()  # rooms
        self.admission = Admission(lambda: list(self.calls))
        self.admission.capacity = capacity
        self.asked = 0
        self.returned: list[str] = []
        self.delay_s = 0.0
        desk = WorkerDesk(
            state=lambda: WorkerState(registered=True, draining=self.admission.draining),
            fleet=self.describe,
            metrics=lambda: b"",
            reserve=self.reserve,
            unreserve=self.unreserve,
            command=self.command,
        )
        self.server = HealthServer("127.0.0.1", 0, desk, fleet_key=KEY)
        self.commands: list[tuple[str, Command]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def begin(self, room: str) -> None:
        assert self.admission.admit(room) is None
        self.calls.add(room)

    def reserve(self, room: str) -> Any:
        self.asked += 1
        time.sleep(self.delay_s)
        return self.admission.reserve(room)

    def unreserve(self, room: str) -> None:
        self.returned.append(room)
        self.admission.unreserve(room)

    def command(self, room: str, command: Command) -> bool:
        self.commands.append((room, command))
        return room in self.calls

    def describe(self) -> dict[str, Any]:
        a = self.admission
        return {
            "capacity": a.capacity,
            "active": a.active,
            "reserved": sorted(a.reserved),
            "draining": a.draining,
            "jobs": [{"room": room, "job_id": f"job-{room}"} for room in self.calls],
        }


StartWorker = Callable[[int], Awaitable[WorkerRoutes]]


@pytest.fixture
async def start_worker() -> AsyncIterator[StartWorker]:
    async with AsyncExitStack() as stack:

        async def start_one(capacity: int) -> WorkerRoutes:
            worker = WorkerRoutes(capacity)
            await worker.server.start()
            stack.push_async_callback(worker.server.aclose)
            return worker

        yield start_one


@pytest.fixture
async def start_view() -> AsyncIterator[Callable[..., Awaitable[FleetView]]]:
    """Views that have asked every worker once; they ask again only when a test says so."""
    async with AsyncExitStack() as stack:

        async def start_one(*workers: WorkerRoutes, key: str | None = None) -> FleetView:
            view = FleetView([w.url for w in workers], key=key)
            stack.push_async_callback(view.aclose)
            await view.poll()
            return view

        yield start_one


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a worker may need longer for its word than a token may take."""
    monkeypatch.setattr("worker.api.fleet_view.RESERVE_S", 10.0)


@pytest.mark.usefixtures("patient")
async def test_services_that_ask_at_the_same_moment_never_give_a_place_twice(start_worker, start_view) -> None:
    workers = [await start_worker(3), await start_worker(2)]
    views = [await start_view(*workers) for _ in range(3)]
    got = await asyncio.gather(*(view.reserve(f"room-{n}") for n in range(8) for view in views[n % 3 : n % 3 + 1]))
    assert got.count(None) == 5
    assert got.count("at_capacity") == 3
    assert [len(w.admission.reserved) for w in workers] == [3, 2]


async def test_three_times_as_many_as_there_is_room_for(start: Start, start_worker, record_property) -> None:
    """Over HTTP, as the page asks: exactly the capacity is let in, the rest is refused at once."""
    worker = await start_worker(4)
    service = await start(worker_urls=(worker.url,))
    await service.health(lambda said: said["fleet"]["free"] == 4)

    async def ask() -> tuple[int, float]:
        asked_s = time.perf_counter()
        async with service.client.post("/token") as response:
            await response.read()
            return response.status, time.perf_counter() - asked_s

    answers = await asyncio.gather(*(ask() for _ in range(12)))
    refused_s = sorted(took_s for status, took_s in answers if status == 503)
    print(f"refused within {refused_s[-1] * 1000:.0f} ms, half of them within {refused_s[4] * 1000:.0f} ms")
    assert sorted(status for status, _ in answers) == [201] * 4 + [503] * 8
    await until(lambda: len(worker.admission.reserved) == 4)  # also those that were given without its word
    later_s = sorted([(await ask())[1] for _ in range(20)])
    print(f"one at a time: half within {later_s[10] * 1000:.1f} ms")
    assert later_s[10] < 0.05


async def test_a_full_fleet_is_refused_from_memory(start_worker, start_view) -> None:
    worker = await start_worker(1)
    view = await start_view(worker)
    assert await view.reserve("a") is None
    for n in range(50):
        assert await view.reserve(f"b-{n}") == "at_capacity"
    assert worker.asked == 1


@pytest.mark.usefixtures("patient")
async def test_the_worker_with_most_room_is_asked_first_and_the_next_when_it_is_full(start_worker, start_view) -> None:
    small, large = await start_worker(1), await start_worker(3)
    view = await start_view(small, large)
    assert await view.reserve("a") is None
    assert large.admission.reserved == {"a"}
    for room in ("x", "y"):
        large.begin(room)  # by another door; the view has not heard of it
    assert await view.reserve("b") is None
    assert small.admission.reserved == {"b"}


@pytest.mark.usefixtures("patient")
async def test_a_place_is_given_back_when_livekit_chose_another_worker(start_worker, start_view) -> None:
    one, two = await start_worker(2), await start_worker(1)
    view = await start_view(one, two)
    assert await view.reserve("a") is None
    assert one.admission.reserved == {"a"}
    two.begin("a")
    await view.poll()
    assert one.admission.reserved == frozenset()
    assert view.free() == 2


async def test_a_place_whose_answer_came_too_late_is_not_lost(start_worker, start_view) -> None:
    worker = await start_worker(1)
    view = await start_view(worker)
    worker.delay_s = 0.2
    asked_s = time.perf_counter()
    assert await view.reserve("a") is None
    assert time.perf_counter() - asked_s < 0.2
    assert await view.reserve("b") == "at_capacity"
    await until(lambda: worker.admission.reserved == {"a"})


async def test_a_place_that_comes_after_the_refusal_is_given_back(start_worker, start_view) -> None:
    worker = await start_worker(1)
    view = await start_view(worker)
    worker.delay_s = 0.3
    asking = asyncio.create_task(view.reserve("a"))
    await until(lambda: worker.asked == 1)
    view.note(worker.url, worker.describe() | {"active": 1, "jobs": [{"room": "by another door"}]})
    assert await asking == "at_capacity"
    await until(lambda: worker.returned == ["a"])
    await view.poll()
    assert view.free() == 1


@pytest.mark.usefixtures("patient")
async def test_a_draining_worker_that_the_view_still_trusts_refuses(start_worker, start_view) -> None:
    leaving, staying = await start_worker(5), await start_worker(1)
    view = await start_view(leaving, staying)
    leaving.admission.draining = True
    assert await view.reserve("a") is None
    assert staying.admission.reserved == {"a"}


async def test_commands_for_a_call_reach_its_worker(start_worker, start_view) -> None:
    worker = await start_worker(1)
    worker.begin("a")
    view = await start_view(worker, key=KEY)
    assert await view.release(worker.url, "a", "release")
    assert not await view.release(worker.url, "b", "goodbye")
    assert not await view.release(NOWHERE, "a", "goodbye")
    assert worker.commands == [("a", "release"), ("b", "goodbye")]
