"""What the watcher can decide to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.handover import Handover

FailCode = Literal["no_agent", "no_workers", "full"]


@dataclass(frozen=True, slots=True)
class RemoveAgent:
    """Out of the room with an agent whose job is dead."""

    room: str
    identity: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """End a dispatch, and with it the agent that it brought: of a second agent whose worker we cannot ask."""

    room: str
    dispatch_id: str


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send for an agent. `replaces`: dispatches that can bring none any more; `known`: all that there were."""

    room: str
    handover: Handover
    replaces: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TellWorker:
    """`release`: the job leaves the room to another agent. `goodbye`: no worker has room, it says so and hangs up."""

    url: str
    room: str
    job_id: str
    action: Literal["release", "goodbye"]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell the caller that no agent can be had, and close the room."""

    room: str
    code: FailCode


Action = RemoveAgent | Withdraw | Dispatch | TellWorker | Fail
