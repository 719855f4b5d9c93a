"""What the voices can say at once, from what they say of themselves."""

import asyncio

import pytest
from aiohttp import web

from worker.engine_slots import SILENT_S, START_S, EngineSlots

ONE, TWO, STANDBY = "http://one", "http://two", "http://standby"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slots(clock) -> EngineSlots:
    return EngineSlots([ONE, TWO], STANDBY, clock=clock)


def test_at_the_start_nothing_is_known_and_later_silence_is_none(slots, clock):
    assert slots.total is None
    clock.now += START_S
    assert slots.total == 0


def test_engines_add_up(slots):
    slots.note(ONE, {"status": "ok", "slots": 4})
    slots.note(TWO, {"status": "ok", "slots": 2})
    slots.note(STANDBY, {"status": "ok", "slots": 9})
    assert slots.total == 6
    assert slots.speaking == {ONE: 4, TWO: 2}


def test_an_engine_that_became_slow_counts_for_less(slots):
    slots.note(ONE, {"status": "ok", "slots": 16})
    slots.note(ONE, {"status": "ok", "slots": 3})
    assert slots.total == 3


def test_while_engines_load_nothing_is_known(slots):
    slots.note(ONE, {"status": "loading"})
    assert slots.total is None


def test_the_standby_counts_where_no_engine_answers(slots, clock):
    slots.note(ONE, {"slots": 4})
    clock.now += SILENT_S + 1
    slots.note(STANDBY, {"slots": 9})
    assert slots.total == 9


@pytest.mark.parametrize("status", ["lost", "stuck", "draining"])
def test_an_engine_that_is_not_well_carries_nothing(slots, clock, status):
    slots.note(ONE, {"status": "ok", "slots": 4})
    slots.note(TWO, {"status": "ok", "slots": 2})
    slots.note(ONE, {"status": status, "slots": 4})
    assert slots.total == 2


def test_a_missed_poll_changes_nothing(slots, clock):
    slots.note(ONE, {"slots": 4})
    clock.now += SILENT_S
    assert slots.total == 4
    clock.now += 0.1
    assert slots.total == 0


@pytest.mark.parametrize("said", [{}, {"slots": "many"}, {"slots": None}, []])
def test_nonsense_is_refused(slots, said):
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        slots.note(ONE, said)
    assert slots.total is None


async def test_it_asks_the_engines_and_survives_those_that_say_nonsense():
    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "slots": 5} if request.path == "/a/health" else ["?"])

    app = web.Application()
    app.router.add_get("/a/health", health)
    app.router.add_get("/b/health", health)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    told: asyncio.Queue[int | None] = asyncio.Queue()
    following = asyncio.create_task(EngineSlots([f"{url}/a", f"{url}/b"], "http://127.0.0.1:9").follow(told.put_nowait))
    try:
        async with asyncio.timeout(10):
            assert await told.get() == 5
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await runner.cleanup()
