"""What happened when in a turn: stamps from the user's last sound to the agent's first. Never any words.

Pure: told of events with their unix times (LiveKit's own stamps are unix times), gives one report per answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Stamp = Literal["user_stopped", "transcript", "turn_committed", "llm_first", "voice_first", "speaking"]
_ORDER: tuple[Stamp, ...] = ("user_stopped", "transcript", "turn_committed", "llm_first", "voice_first", "speaking")


@dataclass(frozen=True, slots=True)
class TurnReport:
    """One answer of the agent. `seconds`: each stamp's distance from the turn's beginning."""

    turn: int
    interrupted: bool
    stamps: dict[str, float]

    @property
    def seconds(self) -> dict[str, float]:
        start = self.stamps.get("user_stopped", self.stamps.get("turn_committed"))
        return {} if start is None else {k: round(t - start, 4) for k, t in self.stamps.items() if t != start}

    def as_dict(self) -> dict[str, object]:
        return {"turn": self.turn, "interrupted": self.interrupted, "seconds": self.seconds, "stamps": self.stamps}


@dataclass(slots=True)
class TurnLog:
    """Collects the stamps of the turn under way. An answer that was begun early and thrown away leaves no trace."""

    turn: int = 0
    _stamps: dict[str, float] = field(default_factory=dict)

    def stamp(self, name: Stamp, at: float) -> None:
        """The last one counts: an answer begun anew replaces the stamps of the one before."""
        self._stamps[name] = at

    def user_turn(self, *, stopped_at: float | None, transcript_delay: float | None, turn_delay: float | None) -> None:
        """The user's spoken turn was committed. Delays are seconds after `stopped_at`."""
        if stopped_at is None:  # typed: `typed` was told
            return
        # An answer that was cut at its first word is never reported: what it left behind is not of this turn.
        self._stamps = {name: at for name, at in self._stamps.items() if at >= stopped_at}
        self._stamps["user_stopped"] = stopped_at
        if transcript_delay is not None:
            self._stamps["transcript"] = stopped_at + transcript_delay
        if turn_delay is not None:
            self._stamps["turn_committed"] = stopped_at + turn_delay

    def typed(self, at: float) -> None:
        """The user sent a line at `at`: said and committed in one."""
        self._stamps = {"user_stopped": at, "turn_committed": at}

    def answered(self, *, interrupted: bool) -> TurnReport:
        """The agent's answer is over: its report, and a clean sheet for the next turn."""
        self.turn += 1
        stamps: dict[str, float] = {name: self._stamps[name] for name in _ORDER if name in self._stamps}
        self._stamps.clear()
        return TurnReport(self.turn, interrupted, stamps)
