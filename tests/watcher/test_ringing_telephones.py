"""A telephone that rings is told busy where no agent can be had: at once where all are full, later where none is."""

import pytest

from worker.watch.actions import Dispatch, Fail
from worker.watch.sights import RoomSight, WorkerSight
from worker.watcher import FULL_S, HOPELESS_S, Watcher

URL = "http://worker"
RING_S = 30.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watcher(clock) -> Watcher:
    return Watcher(agent_wait_s=3.0, ring_s=RING_S, clock=clock)


def acts(watcher: Watcher, clock: Clock, *, ringing: bool, for_s: float, step_s: float = 0.25) -> list[object]:
    """What is done about one caller without an agent, with its second."""
    found: list[object] = []
    began = clock.now
    while clock.now - began < for_s:
        for action in watcher.judge(RoomSight("call-1", 1, ringing=ringing)):
            found.append((round(clock.now - began, 2), action))
        clock.now += step_s
    return found


def test_where_every_worker_is_full_a_telephone_is_told_busy_at_once(watcher, clock):
    watcher.heard(URL, WorkerSight(takes_calls=True, free=0))
    at, action = acts(watcher, clock, ringing=True, for_s=3.0)[0]
    assert action == Fail("call-1", "full")
    assert at <= FULL_S + 0.25


def test_a_browser_waits_on_where_every_worker_is_full(watcher, clock):
    watcher.heard(URL, WorkerSight(takes_calls=True, free=0))
    assert all(isinstance(action, Dispatch) for _, action in acts(watcher, clock, ringing=False, for_s=3.0))


def test_where_a_place_is_free_an_agent_is_sent_for(watcher, clock):
    watcher.heard(URL, WorkerSight(takes_calls=True, free=1))
    assert isinstance(acts(watcher, clock, ringing=True, for_s=2.0)[0][1], Dispatch)


def test_the_last_place_is_the_callers_own_once_its_job_starts(watcher, clock):
    watcher.heard(URL, WorkerSight(takes_calls=True, free=0, starting=frozenset({"call-1"})))
    assert acts(watcher, clock, ringing=True, for_s=3.0) == []


def test_where_no_worker_is_a_telephone_rings_and_is_then_told_busy(watcher, clock):
    at, action = acts(watcher, clock, ringing=True, for_s=RING_S + 2)[0]
    assert action == Fail("call-1", "no_workers")
    assert RING_S <= at <= RING_S + 1 < HOPELESS_S


def test_a_browser_waits_longer_where_no_worker_is(watcher, clock):
    assert acts(watcher, clock, ringing=False, for_s=RING_S + 2) == []
