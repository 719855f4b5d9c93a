import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.admission import LOST_CALL_S, RESERVATION_S, Admission, capacity


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
    assert [a.admit(j) for j in ("a", "b", "c")] == [None, None, "at_capacity"]


def test_a_reservation_becomes_the_running_job_and_is_counted_once(clock):
    running: list[str] = []
    a = admission(running, clock)
    a.admit("a")
    running.append("a")
    assert a.active == 1


def test_a_job_that_ended_frees_its_place(clock):
    running: list[str] = ["a", "b"]
    a = admission(running, clock)
    assert a.admit("c") == "at_capacity"
    running.remove("a")
    assert a.admit("c") is None


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
    a.reserve("a")
    a.draining = True
    assert a.admit("a") == "draining"
    assert a.reserve("b") == "draining"


def test_load_is_the_share_of_calls(clock):
    assert admission(["a"], clock, room=4).load == 0.25


@pytest.mark.parametrize(("running", "room"), [([], 0), (["a"], 1)])
def test_a_full_worker_is_loaded_but_never_so_that_livekit_asks_it_no_more(clock, running, room):
    assert 0.9 < admission(running, clock, room=room).load < 1.0


def test_a_join_token_holds_a_place_that_its_room_s_job_takes_over(clock):
    a = admission([], clock)
    assert [a.reserve(r) for r in ("one", "two", "three")] == [None, None, "at_capacity"]
    assert a.admit("four") == "at_capacity"
    assert a.admit("one") is None
    assert (a.calls, a.reserved, a.free) == ({"one"}, {"two"}, 0)


def test_a_call_that_was_short_leaves_nothing_behind(clock):
    running: list[str] = []
    a = admission(running, clock, room=1)
    a.reserve("one")
    a.admit("one")
    running.append("one")
    assert a.load > 0  # LiveKit asks twice a second
    running.clear()
    assert a.free == 1


def test_a_token_asked_for_twice_holds_one_place(clock):
    a = admission([], clock, room=1)
    assert [a.reserve("one"), a.reserve("one")] == [None, None]
    assert a.free == 0


def test_a_token_that_nobody_used_gives_its_place_back(clock):
    a = admission([], clock, room=1)
    a.reserve("one")
    clock.now = RESERVATION_S - 0.1
    assert a.reserve("two") == "at_capacity"
    clock.now = RESERVATION_S
    assert a.reserve("two") is None


def test_a_room_served_by_another_worker_gives_its_place_back(clock):
    a = admission([], clock, room=1)
    a.reserve("one")
    a.unreserve("one")
    assert a.reserve("two") is None


def test_the_place_of_a_job_that_died_is_kept_for_its_successor(clock):
    running = ["a", "b"]
    a = admission(running, clock)
    running.remove("a")
    a.keep("a")
    assert a.reserve("new") == "at_capacity"
    assert a.admit("a") is None


def test_a_dying_job_does_not_stand_in_its_successor_s_way(clock):
    a = admission(["a", "b"], clock)
    assert a.admit("a") is None
    assert (a.active, a.free) == (2, 0)
    assert a.admit("c") == "at_capacity"


def test_a_call_that_nobody_takes_over_frees_its_place(clock):
    a = admission([], clock, room=1)
    a.keep("a")
    clock.now = LOST_CALL_S
    assert a.reserve("new") is None


def test_without_file_descriptors_new_work_is_refused_and_says_why(clock):
    a = Admission(list, clock=clock, can_start=lambda: False)
    a.capacity = 1
    assert (a.reserve("r"), a.admit("r")) == ("no_descriptors", "no_descriptors")


def test_places_held_count_as_load(clock):
    a = admission(["a"], clock, room=4)
    a.reserve("one")
    assert a.load == 0.5


def test_threads_that_ask_at_once_get_no_place_twice():
    """LiveKit asks for the load in a thread of its own while a token is given in another."""
    a = Admission(list)
    a.capacity = 50
    start = threading.Barrier(8)

    def ask(name: int) -> int:
        start.wait()
        return sum(a.reserve(f"{name}-{n}") is None for n in range(100) if a.load >= 0)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 50


@given(st.lists(st.tuples(st.sampled_from(["reserve", "admit", "start", "end", "release", "wait"]), st.integers(0, 5))))
def test_there_are_never_more_calls_than_capacity(steps):
    clock = Clock()
    running: list[str] = []
    a = admission(running, clock, room=3)
    for step, number in steps:
        room = f"r{number}"
        if step == "reserve":
            a.reserve(room)
        elif step == "admit":
            a.admit(room)
        elif step == "start" and room in a.calls and room not in running:
            running.append(room)
        elif step == "end" and room in running:
            running.remove(room)
        elif step == "release":
            a.release(room)
        elif step == "wait":
            clock.now += 4.0
        assert len(a.calls | a.reserved) <= 3
