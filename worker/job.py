"""One call as its worker sees it: while its job lives, and for a while after it died.

`last_turns` is for a successor; it never goes to logs or metrics.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

LAST_TURNS = 20
NEWS_S = 30.0  # how long /fleet tells of a job that died
Cause = Literal["gone", "frozen"]
Turns = tuple[dict[str, Any], ...]


@dataclass(slots=True)
class Job:
    job_id: str
    room: str
    room_sid: str
    pid: int
    ticked_at: float
    stalled_cpu_s: float | None = None  # of its main thread, when its silence was last looked at
    said_bye: bool = False  # the call is over: an end of file is no death
    last_turns: Turns = ()  # replaced, never changed: another thread may be reading it
    writer: asyncio.StreamWriter | None = field(default=None, repr=False)

    def add_turn(self, turn: dict[str, Any]) -> None:
        self.last_turns = (*self.last_turns[1 - LAST_TURNS :], turn)

    def as_dict(self, now: float) -> dict[str, Any]:
        return {
            "job_id": self.job_id,
            "room": self.room,
            "room_sid": self.room_sid,
            "tick_age_s": round(now - self.ticked_at, 3),
            "last_turns": list(self.last_turns),
        }


@dataclass(frozen=True, slots=True)
class LostJob:
    job_id: str
    room: str
    room_sid: str
    cause: Cause
    lost_at: float
    last_turns: Turns

    def is_news(self, now: float) -> bool:
        return now - self.lost_at < NEWS_S

    def as_dict(self, now: float) -> dict[str, Any]:
        return {
            "job_id": self.job_id,
            "room": self.room,
            "room_sid": self.room_sid,
            "cause": self.cause,
            "lost_age_s": round(now - self.lost_at, 3),
            "last_turns": list(self.last_turns),
        }
