"""How a worker stops. Rooms and commands are the test's; the waiting is real, with deadlines that never come."""

import asyncio
from contextlib import suppress

import pytest

from worker.drain import Drain

NEVER_S = 50.0


class Calls:
    """Calls under way; `obey` says which commands end them."""

    def __init__(self, *rooms: str) -> None:
        self.rooms = set(rooms)
        self.told: list[tuple[str, str]] = []
        self.obey = {"release", "goodbye"}
        self.cut = 0
        self.changed = asyncio.Event()

    def drain(self, **more: float) -> Drain:
        return Drain(
            rooms=lambda: tuple(sorted(self.rooms)),
            command=self.command,
            on_cut=self.count,
            **({"hand_over_s": NEVER_S, "goodbye_s": NEVER_S} | more),
        )

    def command(self, room: str, command: str) -> bool:
        if room not in self.rooms:
            return False
        self.told.append((room, command))
        if command in self.obey:
            self.end(room)
        return True

    def end(self, room: str) -> None:
        self.rooms.discard(room)
        self.changed.set()

    def count(self) -> None:
        self.cut += 1

    async def over(self) -> None:
        while self.rooms:
            await self.changed.wait()
            self.changed.clear()


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_calls_that_end_by_themselves_are_left_alone():
    calls = Calls("a")
    drain = calls.drain()
    running = asyncio.create_task(drain.run(calls.over, timeout_s=NEVER_S))
    await asyncio.sleep(0)
    assert drain.hand_over == ()
    calls.end("a")
    assert await running is True
    assert (calls.told, calls.cut) == ([], 0)


@pytest.mark.parametrize("how", ["time is up", "a second signal"])
async def test_calls_that_must_go_are_named_for_the_watcher_who_moves_them(how):
    calls = Calls("a", "b")
    drain = calls.drain()
    running = asyncio.create_task(drain.run(calls.over, timeout_s=0.01 if how == "time is up" else NEVER_S))
    if how == "a second signal":
        assert drain.force()
    await until(lambda: drain.hand_over == ("a", "b"))
    drain.tell("a", "release")
    assert drain.hand_over == ("b",)
    drain.tell("b", "release")
    assert await running is True
    assert (calls.told, calls.cut) == ([("a", "release"), ("b", "release")], 0)


async def test_a_call_that_nobody_has_a_place_for_is_told_goodbye_and_counted_once():
    calls = Calls("a")
    calls.obey = set()
    drain = calls.drain()
    running = asyncio.create_task(drain.run(calls.over, timeout_s=0.01))
    await until(lambda: drain.hand_over)
    assert drain.tell("a", "goodbye")
    assert drain.tell("a", "goodbye")
    assert drain.hand_over == ()
    calls.end("a")
    assert await running is True
    assert calls.cut == 1


async def test_without_a_watcher_the_worker_says_goodbye_itself():
    calls = Calls("a", "b")
    assert await calls.drain(hand_over_s=0.01).run(calls.over, timeout_s=0.01) is True
    assert (calls.told, calls.cut) == ([("a", "goodbye"), ("b", "goodbye")], 2)


async def test_a_call_that_ends_for_nothing_is_left_after_all_deadlines():
    calls = Calls("a")
    calls.obey = set()
    assert await calls.drain(hand_over_s=0.01, goodbye_s=0.01).run(calls.over, timeout_s=0.01) is False


async def test_a_room_without_a_job_is_not_told():
    calls = Calls()
    assert calls.drain().tell("x", "goodbye") is False
    assert calls.cut == 0


async def test_it_tells_how_long_it_takes():
    calls, now = Calls(), [100.0]
    drain = Drain(rooms=tuple, command=calls.command, on_cut=calls.count, clock=lambda: now[0])
    assert drain.seconds == 0.0
    assert drain.begin()
    now[0] = 107.0
    assert not drain.begin()
    assert drain.seconds == 7.0


async def test_it_leaves_no_task():
    calls = Calls("a")
    before = asyncio.all_tasks()
    running = asyncio.create_task(calls.drain().run(calls.over, timeout_s=NEVER_S))
    await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before
