import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.admission import RESERVATION_S, Admission, capacity


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admission(running: list[str], clock: Clock, room: int = 2) -> Admission:
    made = Admission(lambda: running, clock=clock)
    made.capacity = room
    return made


def test_max_calls_wins_over_cores():
    assert capacity(max_calls=7, cores=2, embedded=True, engine_slots=None) == 7


def test_the_engine_slots_bound_the_calls():
    assert capacity(max_calls=7, cores=2, embedded=True, engine_slots=4) == 4


def test_embedded_models_leave_room_for_fewer_calls():
    embedded = capacity(max_calls=None, cores=4, embedded=True, engine_slots=None)
    remote = capacity(max_calls=None, cores=4, embedded=False, engine_slots=None)
    assert 1 <= embedded < remote


def test_one_core_takes_one_call():
    assert capacity(max_calls=None, cores=1, embedded=True, engine_slots=None) == 1


def test_it_refuses_when_full(clock):
    a = admission([], clock)
    assert [a.admit(j) for j in ("a", "b", "c")] == [True, True, False]
    assert a.refused_total == 1


def test_a_reservation_becomes_the_running_job_and_is_counted_once(clock):
    running: list[str] = []
    a = admission(running, clock)
    a.admit("a")
    running.append("a")
    assert a.active == 1


def test_a_job_that_ended_frees_its_place(clock):
    running: list[str] = ["a", "b"]
    a = admission(running, clock)
    assert not a.admit("c")
    running.remove("a")
    assert a.admit("c")


def test_a_job_that_never_came_frees_its_place(clock):
    a = admission([], clock)
    a.admit("a")
    clock.now = RESERVATION_S + 0.1
    assert a.active == 0


def test_a_released_job_frees_its_place(clock):
    a = admission([], clock)
    a.admit("a")
    a.release("a")
    assert a.active == 0


def test_a_draining_worker_takes_no_call(clock):
    a = admission([], clock)
    a.draining = True
    assert not a.admit("a")


def test_load_is_the_share_of_calls(clock):
    assert admission(["a"], clock, room=4).load == 0.25


@pytest.mark.parametrize(("running", "room"), [([], 0), (["a"], 1)])
def test_a_full_worker_is_loaded_but_never_so_that_livekit_asks_it_no_more(clock, running, room):
    assert 0.9 < admission(running, clock, room=room).load < 1.0


@given(st.lists(st.tuples(st.sampled_from(["admit", "start", "end", "release", "wait"]), st.integers(0, 5))))
def test_there_are_never_more_calls_than_capacity(steps):
    clock = Clock()
    running: list[str] = []
    a = admission(running, clock, room=3)
    admitted: set[str] = set()
    for step, number in steps:
        job = f"j{number}"
        if step == "admit" and job not in a.calls and a.admit(job):
            admitted.add(job)
        elif step == "start" and job in a.calls and job not in running:
            running.append(job)
        elif step == "end" and job in running:
            running.remove(job)
        elif step == "release":
            a.release(job)
        elif step == "wait":
            clock.now += 4.0
        assert a.active <= 3
