"""The watcher's decisions in thousands of random schedules, and in the ones that are promised one by one."""

from __future__ import annotations

import random

import pytest
from watched_world import Patrolman, Room, Worker, World

from worker.watcher import MAX_DISPATCHES

SCHEDULES = 1_000


def world_of(seed: int, *, workers: int = 2, capacity: int = 8) -> World:
    return World(random.Random(seed), [Worker(f"http://w{n}", capacity) for n in range(workers)])


def the_only_agent(room: Room) -> str:
    assert [j.identity for j in room.speaking] == list(room.agents), "a ghost, or none"
    assert len(room.speaking) == 1, room.speaking
    return room.speaking[0].identity


def until_served(world: World, room: Room, within_s: float) -> float:
    began = world.now
    while not room.speaking:
        assert world.now - began <= within_s, f"no agent after {within_s} s"
        world.run(0.01)
    return world.now - began


@pytest.mark.parametrize("seed", range(20))
def test_a_killed_job_is_replaced_with_its_history(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world)
    room = world.call("call-a")
    world.run(10)
    (job,) = room.speaking
    world.kill(job)
    assert until_served(world, room, 2.2) > 0
    assert the_only_agent(room) != job.identity
    ((_, sent),) = world.dispatched
    assert sent.handover.reason == "job_lost"
    assert list(sent.handover.turns) == job.turns
    world.run(60)
    assert len(world.dispatched) == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_frozen_job_is_replaced(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world)
    room = world.call("call-a")
    world.run(5)
    (job,) = room.speaking
    world.freeze(job)
    world.run(2.25)
    until_served(world, room, 2.2)
    the_only_agent(room)


@pytest.mark.parametrize("seed", range(20))
def test_the_calls_of_a_dead_worker_go_to_another(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world)
    rooms = [world.call(f"call-{n}") for n in range(4)]
    world.run(8)
    said = {room.name: list(room.speaking[0].turns) for room in rooms}
    world.kill_worker(world.workers["http://w0"], back_after_s=None)
    world.run(3)
    for room in rooms:
        the_only_agent(room)
    for _, sent in world.dispatched:
        assert sent.handover.reason == "worker_lost"
        told = list(sent.handover.turns)
        assert told == said[sent.room][: len(told)]
        assert len(told) >= len(said[sent.room]) - 1  # a turn of the last half second is not told yet


@pytest.mark.parametrize("seed", range(20))
def test_a_room_without_a_worker_gets_its_agent_when_one_is_back(seed: int) -> None:
    world = world_of(seed, workers=1)
    Patrolman(world)
    (worker,) = world.workers.values()
    before = world.call("call-before")
    world.run(5)
    world.kill_worker(worker, back_after_s=20)
    world.run(5)
    meanwhile = world.call("call-meanwhile")
    while not worker.registered or not worker.up:
        world.run(0.05)
    for room in (before, meanwhile):
        until_served(world, room, 2.0)
        the_only_agent(room)


@pytest.mark.parametrize("seed", range(10))
def test_where_no_worker_comes_the_call_fails_after_a_minute(seed: int) -> None:
    world = world_of(seed, workers=1)
    Patrolman(world)
    world.kill_worker(world.workers["http://w0"], back_after_s=None)
    room = world.call("call-a")
    world.run(58)
    assert not room.failed
    world.run(10)
    assert room.failed
    assert not world.dispatched


@pytest.mark.parametrize("seed", range(20))
def test_after_three_agents_that_do_not_come_the_call_fails(seed: int) -> None:
    world = world_of(seed)
    world.start_crashes = 1.0
    Patrolman(world)
    room = world.call("call-a")
    world.run(20)
    assert room.failed
    assert len(world.dispatched) == MAX_DISPATCHES


@pytest.mark.parametrize("seed", range(20))
def test_a_caller_waits_no_longer_than_agent_wait_for_the_next_try(seed: int) -> None:
    world = world_of(seed, workers=1, capacity=0)
    Patrolman(world)
    began = world.now
    world.call("call-a")
    world.run(14)
    tries = [at - began for at, _ in world.dispatched]
    assert len(tries) == MAX_DISPATCHES
    assert tries[0] <= 3.0
    assert all(later - earlier <= 3.6 for earlier, later in zip(tries, tries[1:], strict=False))


@pytest.mark.parametrize("seed", range(20))
def test_a_normal_end_brings_no_new_agent(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world)
    rooms = [world.call(f"call-{n}") for n in range(3)]
    world.run(6)
    for room in rooms:
        world.end_call(room)
    world.run(30)
    assert not world.dispatched


@pytest.mark.parametrize("seed", range(20))
def test_a_job_that_said_farewell_has_time_to_close_its_room(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world)
    room = world.call("call-a")
    world.run(6)
    world.close_slowly(room, 1.8)
    world.run(10)
    assert not world.dispatched


@pytest.mark.parametrize("seed", range(20))
def test_a_draining_worker_hands_over_and_never_leaves_the_caller_alone(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world)
    rooms = [world.call(f"call-{n}") for n in range(4)]
    world.run(6)
    old = world.workers["http://w0"]
    moved = {job.room.name for job in old.jobs}
    old.draining = old.hand_over = True
    for _ in range(400):
        world.run(0.01)
        assert all(room.speaking for room in rooms)
    assert not old.jobs
    for room in rooms:
        the_only_agent(room)
    assert {sent.room for _, sent in world.dispatched} == moved
    assert world.longest_together_s <= 0.6


@pytest.mark.parametrize("seed", range(10))
def test_a_draining_worker_says_goodbye_where_no_other_has_room(seed: int) -> None:
    world = world_of(seed, workers=1)
    Patrolman(world)
    room = world.call("call-a")
    world.run(6)
    (worker,) = world.workers.values()
    worker.draining = worker.hand_over = True
    world.run(3)
    assert not room.open
    assert not room.failed
    assert not world.dispatched


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_is_only_slow_keeps_its_calls(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world)
    rooms = [world.call(f"call-{n}") for n in range(4)]
    world.run(6)
    agents = [the_only_agent(room) for room in rooms]
    world.mute_worker(world.workers["http://w0"], 6.0)
    world.run(30)
    assert [the_only_agent(room) for room in rooms] == agents
    assert not world.dispatched


@pytest.mark.parametrize("seed", range(50))
def test_two_watchers_without_a_lease_send_one_agent(seed: int) -> None:
    world = world_of(seed)
    Patrolman(world), Patrolman(world)
    room = world.call("call-a")
    world.run(6)
    world.kill(room.speaking[0])
    until_served(world, room, 2.2)
    world.run(3)
    the_only_agent(room)
    assert world.longest_together_s <= 0.5


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_whatever_happens_each_caller_has_one_agent_in_the_end(seed: int) -> None:
    world = world_of(seed, workers=3, capacity=12)
    rng = world.rng
    alone = seed % 3 != 0
    watchers = [Patrolman(world, loses=rng.choice([0, 0, 0.05])) for _ in range(1 if alone else 2)]
    world.api_fails = rng.choice([0, 0, 0.05, 0.2])
    gentle = world.api_fails <= 0.05
    safe, *others = world.workers.values()
    for n in range(6):
        world.at(rng.uniform(0, 15), lambda n=n: world.call(f"call-{n}") and None)
    for _ in range(rng.randint(1, 8)):
        world.at(rng.uniform(1, 25), lambda: a_fault(world, others, watchers))
    for _ in range(10):  # webhooks: at any time, for any room
        world.at(rng.uniform(0, 30), lambda: rng.choice(watchers).hint(f"call-{rng.randrange(6)}"))
    world.run(30)
    world.api_fails = 0.0
    world.run(25)
    assert not world.wrong
    for room in world.rooms.values():
        if room.open:
            the_only_agent(room)
        if room.failed:  # a worker with room was there all the time
            assert room.deaths >= MAX_DISPATCHES
    # A worker that was cut off for long has live calls that are given away; then, and while two watchers race, two
    # agents may meet in a room for a moment.
    assert world.longest_together_s <= (2.0 if gentle else 5.0)


def a_fault(world: World, workers: list[Worker], watchers: list[Patrolman]) -> None:
    """Something goes wrong; one worker, the first, always stays whole."""
    rng = world.rng
    jobs = [job for w in world.workers.values() for job in w.jobs]
    worker = rng.choice(workers)
    match rng.randrange(7):
        case 0 if jobs:
            world.kill(rng.choice(jobs))
        case 1 if jobs:
            world.freeze(rng.choice(jobs))
        case 2 if worker.up:
            world.kill_worker(worker, back_after_s=rng.choice([None, 2.0, 6.0]))
        case 3 if worker.up:
            world.mute_worker(worker, rng.uniform(0.5, 15))
        case 4 if worker.up and worker.answers:
            worker.draining = worker.hand_over = True
        case 5 if world.rooms:
            world.end_call(rng.choice(list(world.rooms.values())))
        case 6:  # a watcher is replaced: it knows nothing
            old = watchers.pop(rng.randrange(len(watchers)))
            old.alive = False
            watchers.append(Patrolman(world))
