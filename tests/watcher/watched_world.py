"""A small world for the watcher: LiveKit's rooms, workers and their jobs, on a clock of their own. No I/O.

It keeps what the real ones were seen to do: a dead agent stays in its room for 20 s, a dispatch that nobody takes is
never offered again, a worker tells of its dead jobs but not of those that said farewell.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.handover import Handover, Turn
from worker.watch.actions import Action, Dispatch, Fail, RemoveAgent, TellWorker, Withdraw
from worker.watch.sights import AgentSight, DispatchSight, JobSight, RoomSight, WorkerSight
from worker.watcher import Watcher

GHOST_S = 20.0
FROZEN_S = 2.25  # until a worker kills a job that is frozen


@dataclass(eq=False)
class Job:
    job_id: str
    room: Room
    worker: Worker
    handover: Handover | None
    ticks: bool = False
    joined_s: float | None = None
    alive: bool = True
    turns: list[Turn] = field(default_factory=list)

    @property
    def identity(self) -> str:
        return f"agent-{self.job_id}"

    @property
    def speaks(self) -> bool:
        return self.alive and self.joined_s is not None


@dataclass(eq=False)
class Worker:
    url: str
    capacity: int
    up: bool = True
    answers: bool = True
    registered: bool = True
    draining: bool = False
    jobs: list[Job] = field(default_factory=list)
    lost: list[Job] = field(default_factory=list)
    hand_over: bool = False
    mute_since_s: float | None = None

    @property
    def takes(self) -> bool:
        return self.up and self.answers and self.registered and not self.draining and len(self.jobs) < self.capacity

    def sight(self) -> WorkerSight:
        return WorkerSight(
            takes_calls=self.registered and not self.draining,
            free=self.capacity - len(self.jobs),
            jobs=tuple(JobSight(j.job_id, j.room.name, tuple(j.turns[-20:])) for j in self.jobs if j.ticks),
            lost=tuple(JobSight(j.job_id, j.room.name, tuple(j.turns[-20:])) for j in self.lost),
            hand_over=frozenset(j.room.name for j in self.jobs) if self.hand_over else frozenset(),
        )


@dataclass(eq=False)
class Room:
    name: str
    callers: int = 1
    open: bool = True
    failed: bool = False
    deaths: int = 0
    agents: dict[str, Job] = field(default_factory=dict)
    dispatches: dict[str, list[Job]] = field(default_factory=dict)
    together_s: float | None = None  # since when two agents speak in it

    @property
    def speaking(self) -> list[Job]:
        return [job for job in self.agents.values() if job.speaks]

    def sight(self) -> RoomSight:
        if not self.open:
            return RoomSight(self.name, 0)
        return RoomSight(
            self.name,
            self.callers,
            tuple(AgentSight(i, int((j.joined_s or 0) * 1000)) for i, j in self.agents.items()),
            tuple(DispatchSight(d, tuple(job.job_id for job in jobs)) for d, jobs in self.dispatches.items()),
        )


class World:
    """`at(seconds, what)` plans; `run(until)` lets it happen. `wrong` collects what must never be."""

    def __init__(self, rng: random.Random, workers: list[Worker]) -> None:
        self.rng = rng
        self.now = 1000.0
        self.workers = {worker.url: worker for worker in workers}
        self.rooms: dict[str, Room] = {}
        self.wrong: list[str] = []
        self.dispatched: list[tuple[float, Dispatch]] = []
        self.longest_together_s = 0.0
        self.api_fails = 0.0
        self.start_crashes = 0.0
        self._numbers = itertools.count()
        self._plan: list[tuple[float, int, Callable[[], None]]] = []

    def clock(self) -> float:
        return self.now

    def at(self, delay_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._plan, (self.now + delay_s, next(self._numbers), what))

    def run(self, for_s: float) -> None:
        end = self.now + for_s
        while self._plan and self._plan[0][0] <= end:
            self.now, _, what = heapq.heappop(self._plan)
            what()
        self.now = end

    # LiveKit

    def call(self, name: str) -> Room:
        """A caller joins with a token whose room asks for our agent."""
        room = self.rooms[name] = Room(name)
        self.dispatch(room, None)
        return room

    def dispatch(self, room: Room, handover: Handover | None) -> str:
        dispatch_id = f"AD_{next(self._numbers)}"
        jobs = room.dispatches.setdefault(dispatch_id, [])
        self.at(self.rng.uniform(0.01, 0.1), lambda: self._assign(room, jobs, handover))
        return dispatch_id

    def delete_dispatch(self, room: Room, dispatch_id: str) -> None:
        for job in room.dispatches.pop(dispatch_id, []):
            if job.alive:
                self.leave(job)

    def _assign(self, room: Room, jobs: list[Job], handover: Handover | None) -> None:
        if all(jobs is not each for each in room.dispatches.values()):
            return  # deleted meanwhile
        takers = [worker for worker in self.workers.values() if worker.takes]
        if not takers or not room.open:
            return
        job = Job(f"AJ_{next(self._numbers)}", room, self.rng.choice(takers), handover)
        jobs.append(job)
        job.worker.jobs.append(job)
        if self.rng.random() < self.start_crashes:
            self.at(0.2, lambda: self.kill(job))
            return
        hello_s = self.rng.uniform(0.1, 0.4)
        self.at(hello_s, lambda: self._tick(job))
        self.at(hello_s + self.rng.uniform(0.1, 0.5), lambda: self._join(job))

    def _tick(self, job: Job) -> None:
        job.ticks = job.alive

    def _join(self, job: Job) -> None:
        if job.alive and job.room.open:
            job.joined_s = self.now
            job.room.agents[job.identity] = job
            self.watch_company(job.room)
            self._talk(job)

    def _talk(self, job: Job) -> None:
        if job.speaks:
            job.turns.append(Turn("assistant", f"turn {next(self._numbers)}"))
            self.at(self.rng.uniform(1, 4), lambda: self._talk(job))

    def remove(self, room: Room, identity: str) -> None:
        job = room.agents.pop(identity, None)
        if job is not None and job.alive:
            self.leave(job)
        self.watch_company(room)

    def watch_company(self, room: Room) -> None:
        if len(room.speaking) > 1 and room.open:
            room.together_s = self.now if room.together_s is None else room.together_s
        elif room.together_s is not None:
            self.longest_together_s = max(self.longest_together_s, self.now - room.together_s)
            room.together_s = None

    # Workers and jobs

    def kill(self, job: Job) -> None:
        if not job.alive:
            return
        job.alive = False
        job.room.deaths += 1
        if job in job.worker.jobs:
            job.worker.jobs.remove(job)
            if job.ticks:
                job.worker.lost.append(job)
        self.watch_company(job.room)
        self.at(GHOST_S, lambda: job.room.agents.pop(job.identity, None) and None)

    def freeze(self, job: Job) -> None:
        if job.alive:
            self.at(FROZEN_S, lambda: self.kill(job))

    def leave(self, job: Job) -> None:
        """In good order: it says farewell to its worker."""
        if job.alive:
            job.alive = False
            job.room.agents.pop(job.identity, None)
            if job in job.worker.jobs:
                job.worker.jobs.remove(job)
            self.watch_company(job.room)

    def kill_worker(self, worker: Worker, back_after_s: float | None) -> None:
        worker.up = False
        for job in list(worker.jobs):
            self.kill(job)
        worker.lost.clear()
        if back_after_s is not None:
            self.at(back_after_s, lambda: self._start(worker))

    def _start(self, worker: Worker) -> None:
        worker.up, worker.draining, worker.hand_over, worker.registered = True, False, False, False
        worker.jobs.clear()
        worker.lost.clear()
        self.at(self.rng.uniform(0.5, 2), lambda: setattr(worker, "registered", True))

    def mute_worker(self, worker: Worker, for_s: float) -> None:
        """Frozen, or cut off: it answers nobody; its calls go on."""
        worker.answers, worker.mute_since_s = False, self.now

        def wake() -> None:
            worker.answers, worker.mute_since_s = True, None

        self.at(for_s, wake)

    def close_slowly(self, room: Room, after_s: float) -> None:
        """The agent hangs up and is gone; the room, with the caller in it, closes later."""
        for job in [j for w in self.workers.values() for j in w.jobs if j.room is room]:
            self.leave(job)
        self.at(after_s, lambda: setattr(room, "open", False))

    def end_call(self, room: Room) -> None:
        """Caller or agent hangs up: the agent closes the room."""
        room.callers = 0
        room.open = False
        for job in [j for w in self.workers.values() for j in w.jobs if j.room is room]:
            self.at(self.rng.uniform(0.05, 0.5), lambda job=job: self.leave(job))
        self.watch_company(room)


class Patrolman:
    """What worker/watch/patrol.py does, step by step on the world's clock."""

    def __init__(self, world: World, *, agent_wait_s: float = 3.0, loses: float = 0.0) -> None:
        self.world = world
        self.watcher = Watcher(agent_wait_s=agent_wait_s, clock=world.clock)
        self.alive = True
        self._loses = loses
        self._visits: set[str] = set()
        world.at(world.rng.uniform(0, 0.5), self._poll)
        world.at(world.rng.uniform(0, 0.25), self._round)
        world.at(world.rng.uniform(0, 1), self._look_around)

    def hint(self, room: str) -> None:
        self._visit(room)

    def _poll(self) -> None:
        for worker in self.world.workers.values():
            self._ask(worker)
        if self.alive:
            self.world.at(0.5, self._poll)

    def _ask(self, worker: Worker) -> None:
        rng = self.world.rng
        if not worker.up:
            self.world.at(rng.uniform(0, 0.02), lambda: self.watcher.unheard(worker.url, "refused"))
        elif not worker.answers or rng.random() < self._loses:
            self.world.at(0.4, lambda: self.watcher.unheard(worker.url, "silent"))
        else:
            sight = worker.sight()
            self.world.at(rng.uniform(0, 0.1), lambda: self.watcher.heard(worker.url, sight))

    def _round(self) -> None:
        for url in self.watcher.roll.doubtful():
            self._ask(self.world.workers[url])
        for room in sorted(self.watcher.suspects()):
            self._visit(room)
        if self.alive:
            self.world.at(0.25, self._round)

    def _look_around(self) -> None:
        settled = self.watcher.roll.settled()
        for name, room in self.world.rooms.items():
            if room.open and name not in settled:
                self._visit(name)
        if self.alive:
            self.world.at(1.0, self._look_around)

    def _visit(self, name: str) -> None:
        room = self.world.rooms.get(name)
        if room is None or name in self._visits or not self.alive or self._api_fails():
            return
        self._visits.add(name)
        look = room.sight()
        self.world.at(self.world.rng.uniform(0.002, 0.05), lambda: self._act(room, self.watcher.judge(look)))

    def _act(self, room: Room, actions: list[Action]) -> None:
        if not actions or not self.alive:
            self._visits.discard(room.name)
            return
        action, rest = actions[0], actions[1:]
        if self._api_fails():
            for undone in actions:
                if isinstance(undone, Dispatch):
                    self.watcher.not_done(undone)
            self._visits.discard(room.name)
            return
        match action:
            case RemoveAgent(_, identity):
                self.world.remove(room, identity)
            case Withdraw(_, dispatch_id):
                self.world.delete_dispatch(room, dispatch_id)
            case TellWorker(url, _, job_id, what):
                self._tell(url, job_id, what)
            case Fail():
                room.failed, room.open = True, False
            case Dispatch():
                self._dispatch(room, action)
        self.world.at(self.world.rng.uniform(0.005, 0.03), lambda: self._act(room, rest))

    def _tell(self, url: str, job_id: str, what: str) -> None:
        for job in list(self.world.workers[url].jobs):
            if job.job_id == job_id:
                if what == "goodbye":
                    self.world.end_call(job.room)
                else:
                    self.world.leave(job)

    def _dispatch(self, room: Room, action: Dispatch) -> None:
        world = self.world
        if not room.open or not room.callers or set(room.dispatches) - set(action.known):
            return
        self._accuse(room, action)

        def create() -> None:
            if not room.open:
                return
            world.dispatched.append((world.now, action))
            world.dispatch(room, action.handover)
            world.at(world.rng.uniform(0.005, 0.02), tidy)

        def tidy() -> None:
            for dispatch_id in [*sorted(set(room.dispatches) - set(action.known))[1:], *action.replaces]:
                world.delete_dispatch(room, dispatch_id)

        world.at(world.rng.uniform(0.002, 0.02), create)

    def _accuse(self, room: Room, action: Dispatch) -> None:
        """No dispatch while a live tick exists: of a job that stays, on a worker that could be heard."""
        for worker in self.world.workers.values():
            heard = worker.up and worker.mute_since_s is None
            for job in worker.jobs:
                if (
                    heard
                    and job.room is room
                    and job.speaks
                    and not worker.hand_over
                    and self.world.now - job.joined_s > 1
                ):
                    self.world.wrong.append(f"{self.world.now:.2f} {room.name}: dispatch while {job.job_id} ticks")

    def _api_fails(self) -> bool:
        return self.world.rng.random() < self.world.api_fails
