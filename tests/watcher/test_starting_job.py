"""A job that a worker has taken is waited for, also where its process needs long to report; but not for ever."""

from __future__ import annotations

import pytest

from worker.watch.actions import Dispatch
from worker.watch.sights import RoomSight, WorkerSight, read_fleet
from worker.watcher import STARTING_S, Watcher

URL, ROOM = "http://worker", "call-a"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watcher(clock: Clock, *starting: str) -> Watcher:
    made = Watcher(agent_wait_s=3.0, clock=clock)
    made.heard(URL, WorkerSight(takes_calls=True, free=2, starting=frozenset(starting)))
    return made


def test_no_second_agent_is_sent_for_while_the_first_starts(clock: Clock) -> None:
    one = watcher(clock, ROOM)
    one.judge(RoomSight(ROOM, callers=1))
    clock.now += STARTING_S - 0.1
    one.heard(URL, WorkerSight(takes_calls=True, free=2, starting=frozenset({ROOM})))
    assert one.judge(RoomSight(ROOM, callers=1)) == []
    clock.now += 0.2
    [action] = one.judge(RoomSight(ROOM, callers=1))
    assert isinstance(action, Dispatch)


def test_another_room_s_job_is_not_waited_for(clock: Clock) -> None:
    [action] = watcher(clock, "call-b").judge(RoomSight(ROOM, callers=1))
    assert isinstance(action, Dispatch)


def test_a_worker_that_is_gone_starts_nothing(clock: Clock) -> None:
    one = watcher(clock, ROOM)
    one.unheard(URL, "refused")
    one.heard("http://other", WorkerSight(takes_calls=True, free=2))
    assert any(isinstance(action, Dispatch) for action in one.judge(RoomSight(ROOM, callers=1)))


def test_it_is_read_from_fleet() -> None:
    said = {"capacity": 2, "active": 1, "draining": False, "jobs": [], "starting": [ROOM]}
    assert read_fleet(said).starting == {ROOM}
