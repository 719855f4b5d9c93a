"""Nobody waits in silence: when the agent's turn has been silent for too long, and when it must end.

A plain class with a clock that others read. It is told what happens in a turn and says what is due: a short filler, or
the end of the turn with an apology. It knows nothing of audio, models or LiveKit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LEAST_PATIENCE_S = 1.0  # of a turn that was committed late: time to answer before the first filler


class Due(Enum):
    FILLER = "filler"
    APOLOGY = "apology"  # the turn has not said a word for too long: say so and end it


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. `turn_s`: how long a turn may go without a word of its own; a filler is none."""

    filler_after_s: float = 2.0
    filler_every_s: float = 2.5
    turn_s: float = 14.0


class Watchdog:
    """The silence of one call. Times are monotonic seconds; every method takes `now`.

    What was pushed is heard one after the other, so the listener's silence begins where the pushed audio ends. While
    the caller speaks, the agent has nothing to say.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._active = False
        self._caller_speaks = False
        self._earliest = 0.0  # no filler before
        self._heard_until = 0.0
        self._word_until = 0.0  # where the last word that is no filler ends
        self._held_s = 0.0  # pushed before the turn began: an answer that was begun early
        self._fillers = 0  # since the last word
        self._left_s = 0.0  # unheard when the caller began to speak
        self.silences: list[float] = []  # of this turn, longer than half a second; `ended` empties it

    @property
    def active(self) -> bool:
        """Whether the agent owes the caller a sound."""
        return self._active

    def began(self, now: float, *, silent_since: float | None = None) -> None:
        """The agent's turn began. `silent_since`: the caller's last sound, where it is known."""
        if self._active:
            return
        since = min(now, max(silent_since if silent_since is not None else now, now - self._limits.filler_after_s))
        self._active, self._fillers = True, 0
        self._heard_until, self._word_until = since, now
        self._earliest = now + min(LEAST_PATIENCE_S, self._limits.filler_after_s)
        if self._held_s:
            self._hear(now, self._held_s, word=True)
            self._held_s = 0.0

    def ended(self, now: float) -> list[float]:
        """The agent's turn is over, or was interrupted. Its silences, seconds."""
        self._note_silence(now)
        self._active, self._held_s = False, 0.0
        silences, self.silences = self.silences, []
        return silences

    def voice_opened(self) -> None:
        """A new piece of speech is being made. What an abandoned one left behind is never heard."""
        if not self._active:
            self._held_s = 0.0

    def pushed(self, now: float, seconds: float, *, word: bool) -> None:
        """Audio was put into the listener's queue. `word`: it belongs to the answer."""
        if self._active:
            self._hear(now, seconds, word=word)
        else:
            self._held_s += seconds

    def caller_spoke(self, now: float) -> None:
        """The caller began to speak: what is queued waits."""
        if not self._caller_speaks:
            self._caller_speaks = True
            self._left_s = max(0.0, self._heard_until - now)
            self._note_silence(now)

    def caller_paused(self, now: float) -> None:
        """The caller fell silent: from here the agent's silence counts."""
        if self._caller_speaks:
            self._caller_speaks = False
            self._heard_until = now + self._left_s
            self._word_until = max(self._word_until, self._heard_until)
            self._left_s = 0.0

    def due(self, now: float) -> Due | None:
        """What is to be done now. A filler that is not said stays due; `pushed` says that it was."""
        at, what = self._next()
        return what if at is not None and now >= at else None

    def next_at(self) -> float | None:
        """When something will be due if nothing is pushed; None: never."""
        return self._next()[0]

    def _next(self) -> tuple[float | None, Due | None]:
        if not self._active or self._caller_speaks:
            return None, None
        limits = self._limits
        end = self._word_until + limits.turn_s
        wait_s = limits.filler_every_s if self._fillers else limits.filler_after_s
        filler = max(self._heard_until + wait_s, self._earliest)
        return (filler, Due.FILLER) if filler < end else (end, Due.APOLOGY)

    def _hear(self, now: float, seconds: float, *, word: bool) -> None:
        self._note_silence(now)
        if self._caller_speaks:
            self._left_s += seconds
        else:
            self._heard_until = max(now, self._heard_until) + seconds
        if word:
            self._fillers = 0
            self._word_until = max(self._heard_until, now)
        else:
            self._fillers += 1

    def _note_silence(self, now: float) -> None:
        silent_s = now - self._heard_until
        if self._active and not self._caller_speaks and silent_s > 0.5:
            self.silences.append(silent_s)
