"""Every room that should have an agent has exactly one: the decisions, without I/O.

Told what workers answer and what a look into a room shows, it says what is to be done. It decides on what is, never on
what changed: a message that is lost, late or doubled does no harm, and two watchers come to the same result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.handover import Handover, Reason
from worker.watch.actions import Action, Dispatch, Fail, FailCode, RemoveAgent, TellWorker, Withdraw
from worker.watch.roll import Job, Roll, Silence
from worker.watch.sights import AgentSight, RoomSight, WorkerSight

MAX_DISPATCHES = 3
NO_TAKER_S = 1.0  # a worker that has room takes a dispatch within milliseconds
STARTING_S = 8.0  # on a busy machine a job's process may need longer than AGENT_WAIT_S to report
FAREWELL_S = 2.0  # after a job that ended of itself: time for its room to close
SETTLED_S = 10.0  # an agent that stayed so long was a success
FULL_S = 0.5  # a telephone where every worker is full is told busy then: ringing does not help it
HOPELESS_S = 60.0  # how long a caller waits where no worker is at all
STRANGER_S = 2.0  # an agent is in its room before its worker has told of it
RELEASE_AGAIN_S = 1.0  # two agents in a room are heard by the caller
REPEAT_S = 3.0  # before anything else that had no effect is said again
TALKED_TURNS = 3  # of two agents the one that has been talking stays
MAX_ROOMS = 2_000


@dataclass(slots=True)
class _Room:
    looked_s: float
    seen: dict[str, float] = field(default_factory=dict)  # dispatch -> when it was first seen
    attempts: int = 0
    dispatched_s: float | None = None
    served_s: float | None = None
    agentless_s: float | None = None
    hopeless_s: float | None = None
    strangers: dict[str, float] = field(default_factory=dict)  # agents of unknown workers -> first seen
    said_s: dict[str, float] = field(default_factory=dict)  # to whom something was said -> when


class Watcher:
    """The policy of one watcher.

    `agent_wait_s`: how long an agent that was sent for may take. `ring_s`: how long a telephone rings where there is
    no worker.
    """

    def __init__(
        self, *, agent_wait_s: float, ring_s: float = HOPELESS_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._agent_wait_s = agent_wait_s
        self._ring_s = ring_s
        self._clock = clock
        self.roll = Roll(clock=clock)
        self._rooms: dict[str, _Room] = {}
        self._judged_s = clock()

    def heard(self, url: str, sight: WorkerSight) -> None:
        self.roll.heard(url, sight)

    def unheard(self, url: str, how: Silence) -> None:
        self.roll.unheard(url, how)

    def suspects(self) -> set[str]:
        """Rooms that need a look now."""
        open_cases = {name for name, room in self._rooms.items() if room.agentless_s is not None}
        return open_cases | {r for r in self.roll.suspects(self._clock() - SETTLED_S) if not self._looked_lately(r)}

    @property
    def agentless(self) -> int:
        """Rooms with a caller and no agent."""
        return sum(room.agentless_s is not None for room in self._rooms.values())

    def judge(self, look: RoomSight) -> list[Action]:
        """What is to be done about a room, in this order; a step that fails makes those after it void."""
        now = self._clock()
        room = self._room(look, now)
        if not look.callers:
            room.agentless_s = room.dispatched_s = room.served_s = None
            return []
        ghosts = [a for a in look.agents if self.roll.is_dead(a.job_id)]
        present = [a for a in look.agents if a not in ghosts]
        out: list[Action] = [RemoveAgent(look.room, ghost.identity) for ghost in ghosts]
        out += self._leave_one(look, present, room, now)
        if self._staying(look, present):
            self._served(room, now)
            return out
        room.served_s = None
        if moving := self.roll.living(look.room):
            return out + self._move(look, moving[0], room, now)
        return out + self._send_for_one(look, room, now)

    def not_done(self, action: Dispatch) -> None:
        """The dispatch could not be made: it does not count, and nothing is waited for."""
        room = self._rooms.get(action.room)
        if room is not None:
            room.attempts = max(0, room.attempts - 1)
            room.dispatched_s = None

    # Rooms with an agent

    def _staying(self, look: RoomSight, present: list[AgentSight]) -> bool:
        """Whether an agent is there, or a job of this room lives, whose call need not move."""
        jobs = {job.job_id: job for job in self.roll.living(look.room)}
        strangers = [a for a in present if a.job_id not in jobs]  # of workers that we cannot ask
        return bool(strangers) or any(not self.roll.is_moving(job) for job in jobs.values())

    def _served(self, room: _Room, now: float) -> None:
        room.agentless_s = room.hopeless_s = None
        room.served_s = now if room.served_s is None else room.served_s
        if now - room.served_s >= SETTLED_S:
            room.attempts = 0

    def _leave_one(self, look: RoomSight, present: list[AgentSight], room: _Room, now: float) -> list[Action]:
        """Of several agents in a room one stays; every watcher picks the same."""
        actions: list[Action] = []
        for agent in sorted(present, key=self._rank)[1:]:
            job = self.roll.job(agent.job_id)
            if job is None and now - room.strangers.setdefault(agent.identity, now) < STRANGER_S:
                continue
            repeated = agent.identity in room.said_s
            if not self._says(room, agent.identity, now, again_s=RELEASE_AGAIN_S):
                continue
            if job is not None:
                actions.append(TellWorker(job.url, look.room, job.job_id, "release", repeated))
            else:
                actions += [Withdraw(look.room, d.dispatch_id) for d in look.dispatches if agent.job_id in d.job_ids]
        return actions

    def _rank(self, agent: AgentSight) -> tuple[bool, bool, int, str]:
        job = self.roll.job(agent.job_id)
        moving = job is not None and self.roll.is_moving(job)
        talked = job is not None and len(job.turns) >= TALKED_TURNS
        return (moving, not talked, agent.joined_ms, agent.identity)

    def _move(self, look: RoomSight, old: Job, room: _Room, now: float) -> list[Action]:
        """The call of a worker that has to end goes to another one; where none has room, it ends with a goodbye."""
        if self._is_waiting(room, now):
            return []
        if room.attempts < MAX_DISPATCHES and self.roll.has_room_beside(old.url):
            return [self._dispatch(look, room, "drain", (), now)]
        if not self._says(room, f"goodbye {old.job_id}", now):
            return []
        return [TellWorker(old.url, look.room, old.job_id, "goodbye")]

    # Rooms without

    def _send_for_one(self, look: RoomSight, room: _Room, now: float) -> list[Action]:
        room.agentless_s = now if room.agentless_s is None else room.agentless_s
        dead = self.roll.dead(look.room)
        if dead and dead[-1].farewell and now - dead[-1].dead_s < FAREWELL_S:
            return []
        if self._one_is_coming(look, room, now):
            return []
        if self.roll.is_starting(look.room) and now - room.agentless_s < STARTING_S:
            return []
        if not self.roll.takes_calls():
            room.hopeless_s = now if room.hopeless_s is None else room.hopeless_s
            most_s = self._ring_s if look.ringing else HOPELESS_S
            return self._fail(look, room, "no_workers", now) if now - room.hopeless_s >= most_s else []
        room.hopeless_s = None
        if look.ringing and not self.roll.has_place():
            return self._fail(look, room, "full", now) if now - room.agentless_s >= FULL_S else []
        if room.attempts >= MAX_DISPATCHES:
            return self._fail(look, room, "no_agent", now)
        reason = dead[-1].dead if dead and dead[-1].dead else "no_agent"
        return [self._dispatch(look, room, reason, tuple(d.dispatch_id for d in look.dispatches), now)]

    def _one_is_coming(self, look: RoomSight, room: _Room, now: float) -> bool:
        """Whether an agent was sent for that may still come. One that died is not waited for."""
        for dispatch in look.dispatches:
            age_s = now - room.seen[dispatch.dispatch_id]
            if not dispatch.job_ids and age_s < NO_TAKER_S:
                return True
            if age_s < self._agent_wait_s and any(not self.roll.is_dead(job_id) for job_id in dispatch.job_ids):
                return True
        known_dead = any(d.job_ids and all(map(self.roll.is_dead, d.job_ids)) for d in look.dispatches)
        return self._is_waiting(room, now) and not known_dead

    def _is_waiting(self, room: _Room, now: float) -> bool:
        return room.dispatched_s is not None and now - room.dispatched_s < self._agent_wait_s

    def _dispatch(
        self, look: RoomSight, room: _Room, reason: Reason, replaces: tuple[str, ...], now: float
    ) -> Dispatch:
        room.attempts += 1
        room.dispatched_s = now
        known = tuple(d.dispatch_id for d in look.dispatches)
        return Dispatch(look.room, Handover(self.roll.turns(look.room), reason), replaces, known)

    def _fail(self, look: RoomSight, room: _Room, code: FailCode, now: float) -> list[Action]:
        return [Fail(look.room, code)] if self._says(room, "fail", now) else []

    def _says(self, room: _Room, what: str, now: float, *, again_s: float = REPEAT_S) -> bool:
        """Whether it is time to say it: for the first time, or again."""
        if now - room.said_s.get(what, float("-inf")) < again_s:
            return False
        room.said_s[what] = now
        return True

    def _looked_lately(self, name: str) -> bool:
        """A room whose dead agent was looked at after its death needs no second look, unless the case is open."""
        room = self._rooms.get(name)
        dead = self.roll.dead(name)
        if room is None or len(self.roll.living(name)) > 1 or any(map(self.roll.is_moving, self.roll.living(name))):
            return False
        return bool(dead) and room.looked_s > dead[-1].dead_s

    def _room(self, look: RoomSight, now: float) -> _Room:
        room = self._rooms.pop(look.room, None) or _Room(now)
        self._rooms[look.room] = room  # the one looked at last is the last
        while len(self._rooms) > MAX_ROOMS:
            del self._rooms[next(iter(self._rooms))]
        room.looked_s = now
        room.seen = {d.dispatch_id: room.seen.get(d.dispatch_id, now) for d in look.dispatches}
        return room
