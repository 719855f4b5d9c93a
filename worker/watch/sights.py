"""What the watcher knows for sure at one moment: a worker's own words, and a look into a LiveKit room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.handover import Turn, read_turns

AGENT_PREFIX = "agent-"  # LiveKit names an agent after its job


@dataclass(frozen=True, slots=True)
class JobSight:
    """A job that its worker tells of: alive among `jobs`, dead without a farewell among `lost`."""

    job_id: str
    room: str
    turns: tuple[Turn, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WorkerSight:
    """One worker as it described itself. `hand_over`: rooms whose call has to go to another worker."""

    takes_calls: bool
    free: int
    jobs: tuple[JobSight, ...] = ()
    lost: tuple[JobSight, ...] = ()
    hand_over: frozenset[str] = frozenset()
    starting: frozenset[str] = frozenset()  # rooms whose job was taken and has not reported yet


@dataclass(frozen=True, slots=True)
class AgentSight:
    """An agent among a room's participants. LiveKit shows a dead one for another 20 s."""

    identity: str
    joined_ms: int

    @property
    def job_id(self) -> str:
        return self.identity.removeprefix(AGENT_PREFIX)


@dataclass(frozen=True, slots=True)
class DispatchSight:
    """A request for our agent in a room. No `job_ids`: no worker took it, or none has answered yet."""

    dispatch_id: str
    job_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoomSight:
    """One look into one room of ours. `callers`: people and phones, no agents. `ringing`: none is connected yet."""

    room: str
    callers: int
    agents: tuple[AgentSight, ...] = ()
    dispatches: tuple[DispatchSight, ...] = ()
    ringing: bool = False


def read_fleet(said: Mapping[str, Any]) -> WorkerSight:
    """An answer of /fleet. KeyError, TypeError or ValueError when it is none."""
    reserved = said.get("reserved", 0)
    held = len(reserved) if isinstance(reserved, list) else int(reserved)
    return WorkerSight(
        takes_calls=bool(said.get("registered", True)) and not said["draining"],
        free=int(said["capacity"]) - int(said["active"]) - held,
        jobs=_jobs(said["jobs"]),
        lost=_jobs(said.get("lost", ())),
        hand_over=frozenset(str(room) for room in said.get("hand_over", ())),
        starting=frozenset(str(room) for room in said.get("starting", ())),
    )


def _jobs(said: Any) -> tuple[JobSight, ...]:
    return tuple(
        JobSight(str(job.get("job_id", "")), str(job["room"]), read_turns(job.get("last_turns"))) for job in said
    )
