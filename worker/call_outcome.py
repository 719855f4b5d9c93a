"""How one call began and how it ended, told once each to whoever counts calls. Knows no numbers and no words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Direction = Literal["web", "inbound", "outbound"]
Outcome = Literal[
    "completed", "caller_left", "agent_hung_up", "transferred", "voicemail", "failed", "max_length", "not_answered"
]
Note = Callable[..., None]


class CallOutcome:
    """`note` is JobLink.note. A call that another agent goes on with has not ended: it is told of by that agent."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._began = self._ended = False
        self._outcome: Outcome | None = None
        self.direction: Direction = "web"

    def began(self, direction: Direction, **seconds: float) -> None:
        """Caller and agent are connected. `seconds`: ring_s and post_dial_s, where they are known."""
        if self._began:
            return
        self.direction = direction
        self._began = True
        self._note("call_began", direction=direction, **{k: round(max(0.0, v), 3) for k, v in seconds.items()})

    def decide(self, outcome: Outcome) -> None:
        """What the end of the call will be put down to; what is said first counts."""
        self._outcome = self._outcome or outcome

    def forget(self) -> None:
        """What was decided did not come about."""
        self._outcome = None

    def ended(self, otherwise: Outcome) -> None:
        """The call is over. `otherwise`: how it ended when nobody has decided it."""
        if self._ended:
            return
        self._ended = True
        self._note("call_ended", direction=self.direction, outcome=self._outcome or otherwise)
