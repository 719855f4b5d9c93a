"""Which jobs live, which are dead, and what was said in their rooms. Pure: told what workers answer, given a clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from worker.handover import MAX_TURNS, Reason, Turn
from worker.watch.sights import JobSight, WorkerSight

REFUSED_FOR_S = 0.2  # a port that nobody listens on, twice: its process is gone, and its jobs with it
SILENT_FOR_S = 8.0  # no answer at all: a dead machine, or one so busy that its calls are no longer calls
SILENT_TIMES = 8  # and so often: a watcher that was late itself must not take the workers for dead
MISSING_FOR_S = 0.2  # a job whose link to its worker broke is there again at once
KEPT_S = 600.0  # how long a dead job, and what was said in its room, are remembered
MAX_JOBS = 4_096

Silence = Literal["refused", "silent", "unusable"]


@dataclass(slots=True)
class Job:
    job_id: str
    room: str
    url: str
    before: tuple[Turn, ...]  # what had been said in the room when it came
    turns: tuple[Turn, ...] = ()
    missing_s: float | None = None
    dead: Reason | None = None
    dead_s: float = 0.0
    farewell: bool = False  # it ended of itself


@dataclass(slots=True)
class _Worker:
    sight: WorkerSight | None = None
    silent_s: float | None = None  # since when it does not answer
    silences: int = 0
    refused_s: float | None = None  # since when its port is closed


class Roll:
    """The jobs of all workers."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers: dict[str, _Worker] = {}
        self._jobs: dict[str, Job] = {}
        self._turns: dict[str, tuple[Turn, ...]] = {}

    def heard(self, url: str, sight: WorkerSight) -> None:
        """A worker answered."""
        now = self._clock()
        worker = self._workers.setdefault(url, _Worker())
        is_new = worker.refused_s is not None  # a process that knows nothing of its predecessor's jobs
        self._workers[url] = _Worker(sight)
        for seen in sight.jobs:
            self._see(seen, url)
        for seen in sight.lost:
            self._bury(self._note(seen, url), "job_lost", now)
        told = {job.job_id for job in (*sight.jobs, *sight.lost)}
        for job in self._jobs.values():
            if job.url == url and not job.dead and job.job_id not in told:
                self._miss(job, now, is_new=is_new)
        self._forget(now)

    def unheard(self, url: str, how: Silence) -> None:
        """A worker did not answer. `unusable`: it did, but not with its fleet."""
        now = self._clock()
        worker = self._workers.setdefault(url, _Worker())
        if how == "unusable":
            worker.silent_s = worker.refused_s = None
            worker.silences = 0
            return
        worker.silent_s = now if worker.silent_s is None else worker.silent_s
        worker.silences += 1
        if how == "silent":
            worker.refused_s = None
        elif worker.refused_s is None:
            worker.refused_s = now
        refused = worker.refused_s is not None and now - worker.refused_s >= REFUSED_FOR_S
        silent = now - worker.silent_s >= SILENT_FOR_S and worker.silences >= SILENT_TIMES
        if refused or silent:
            worker.sight = None
            for job in self._jobs.values():
                if job.url == url:
                    self._bury(job, "worker_lost", now)

    def job(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def is_dead(self, job_id: str) -> bool:
        return (job := self._jobs.get(job_id)) is not None and job.dead is not None

    def living(self, room: str) -> list[Job]:
        """Jobs in `room` that their workers tell of, or told of a moment ago."""
        return [job for job in self._jobs.values() if job.room == room and not job.dead]

    def is_starting(self, room: str) -> bool:
        """Whether a worker has taken a job for `room` that has not reported yet."""
        return any(
            w.sight is not None and w.refused_s is None and room in w.sight.starting for w in self._workers.values()
        )

    def dead(self, room: str) -> list[Job]:
        """The last one last."""
        return sorted((j for j in self._jobs.values() if j.room == room and j.dead), key=lambda job: job.dead_s)

    def is_moving(self, job: Job) -> bool:
        """Whether its worker wants the call to go to another one."""
        sight = self._sight(job.url)
        return sight is not None and job.room in sight.hand_over

    def turns(self, room: str) -> tuple[Turn, ...]:
        return self._turns.get(room, ())

    def remember(self, room: str, turns: tuple[Turn, ...]) -> None:
        """What another watcher knew of the conversation; what is known here counts more."""
        if turns and len(self._turns) < MAX_JOBS:
            self._turns.setdefault(room, turns)

    def conversations(self) -> dict[str, tuple[Turn, ...]]:
        """What was said last in each room with a living job."""
        rooms = {job.room for job in self._jobs.values() if not job.dead}
        return {room: turns for room in rooms if (turns := self._turns.get(room))}

    def knows(self, room: str) -> bool:
        """Whether a job of ours is or was in it."""
        return any(job.room == room for job in self._jobs.values())

    def takes_calls(self) -> bool:
        """Whether any worker does, be it full: that is for admission to say."""
        return any(worker.sight is not None and worker.sight.takes_calls for worker in self._workers.values())

    def has_place(self) -> bool:
        """Whether any worker has a place for one more call."""
        return any(w.sight is not None and w.sight.takes_calls and w.sight.free > 0 for w in self._workers.values())

    def has_room_beside(self, url: str) -> bool:
        """Whether a worker other than the one at `url` has a place."""
        return any(
            w.sight is not None and w.sight.takes_calls and w.sight.free > 0
            for other, w in self._workers.items()
            if other != url
        )

    def doubtful(self) -> list[str]:
        """Workers that should be asked again soon: they refuse, or no longer tell of a job."""
        missing = {job.url for job in self._jobs.values() if job.missing_s is not None and not job.dead}
        return sorted(missing | {u for u, w in self._workers.items() if w.refused_s is not None and self._has_jobs(u)})

    def _has_jobs(self, url: str) -> bool:
        return any(job.url == url and not job.dead for job in self._jobs.values())

    def suspects(self, since_s: float) -> set[str]:
        """Rooms that need a look: a job died since then, is to move, or is not alone."""
        rooms: set[str] = set()
        seen: set[str] = set()
        for job in self._jobs.values():
            if job.dead:
                if job.dead_s >= since_s:
                    rooms.add(job.room)
                continue
            if job.room in seen or self.is_moving(job):
                rooms.add(job.room)
            seen.add(job.room)
        return rooms

    def settled(self) -> set[str]:
        """Rooms with one living job that stays there."""
        living = [job for job in self._jobs.values() if not job.dead]
        jobs = Counter(job.room for job in living)
        return {job.room for job in living if jobs[job.room] == 1 and not self.is_moving(job)}

    def _sight(self, url: str) -> WorkerSight | None:
        worker = self._workers.get(url)
        return worker.sight if worker else None

    def _note(self, seen: JobSight, url: str) -> Job:
        job = self._jobs.get(seen.job_id)
        if job is None:
            job = self._jobs[seen.job_id] = Job(seen.job_id, seen.room, url, self._turns.get(seen.room, ()))
        if seen.turns and seen.turns != job.turns:
            job.turns = seen.turns
            self._turns[job.room] = _joined(job.before, job.turns)
        return job

    def _see(self, seen: JobSight, url: str) -> None:
        job = self._note(seen, url)
        job.url, job.dead, job.missing_s, job.farewell = url, None, None, False

    def _miss(self, job: Job, now: float, *, is_new: bool) -> None:
        """A worker tells of every job that died: one that it no longer tells of has said farewell."""
        if is_new:
            self._bury(job, "worker_lost", now)
        elif job.missing_s is None:
            job.missing_s = now
        elif now - job.missing_s >= MISSING_FOR_S:
            job.farewell = True
            self._bury(job, "no_agent", now)

    def _bury(self, job: Job, reason: Reason, now: float) -> None:
        if job.dead is None:
            job.dead, job.dead_s, job.missing_s = reason, now, None

    def _forget(self, now: float) -> None:
        old = [j.job_id for j in self._jobs.values() if j.dead and now - j.dead_s > KEPT_S]
        excess = max(0, len(self._jobs) - len(old) - MAX_JOBS)
        for job_id in (*old, *list(self._jobs)[:excess]):
            self._jobs.pop(job_id, None)
        if old or excess:
            rooms = {job.room for job in self._jobs.values()}
            self._turns = {room: turns for room, turns in self._turns.items() if room in rooms}


def _joined(before: tuple[Turn, ...], turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """A job may tell of what it was handed over, or only of what was said since."""
    return (turns if turns[: len(before)] == before else before + turns)[-MAX_TURNS:]
