"""When the engine that speaks counts as stuck, and when to ask it whether it is there: arithmetic on a clock.

Knows neither text nor sound: it is told when sound came, since when there is enough text for more, and what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_AUDIO_S = 1.5
_ASK_AGAIN_S = 1.0  # after an answer


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Seconds. The last engine left is given `last_s` where the others get `first_audio_s` or `quiet_s`."""

    first_audio_s: float = FIRST_AUDIO_S  # from text to the first sound
    dry_s: float = 0.5  # with no more to hear than this the listener is about to run dry: time for another to begin
    quiet_s: float = 0.6  # about to run dry, and nothing came from the engine for so long: it is stuck
    again_s: float = 1.0  # from text to the next sound, when the listener had run dry for want of text
    ask_s: float = 0.3  # about to run dry, and nothing came for so long: the engine is asked whether it is there
    answer_s: float = 0.4  # for its answer: a frozen process gives none
    last_s: float = 3.0


class Doubt:
    """Of one engine's turn. `played_out_s`: when the listener will have heard all; `last`: nobody could take over."""

    def __init__(self, limits: RelayLimits, opened_s: float) -> None:
        self._limits, self._opened_s = limits, opened_s
        self._reached = False
        self._heard_s: float | None = None
        self._owed_since_s: float | None = None
        self._asked_s: float | None = None
        self._answered_s: float | None = None

    def reached(self) -> None:
        """It can be asked now."""
        self._reached = True

    def heard(self, now_s: float) -> None:
        """Sound came."""
        self._heard_s, self._asked_s = now_s, None

    def asked(self, now_s: float) -> None:
        self._asked_s = now_s

    def answered(self, now_s: float) -> None:
        self._asked_s, self._answered_s = None, now_s

    def owe(self, owes: bool, now_s: float) -> None:
        """Whether it has enough text to speak, whatever voice it is."""
        if not owes:
            self._owed_since_s = None
        elif self._owed_since_s is None:
            self._owed_since_s = now_s

    def ask_at(self, played_out_s: float | None, last: bool) -> float | None:
        """When to ask, given that there is text that it might be speaking; None: not before something comes."""
        if last or not self._reached or self._asked_s is not None:
            return None
        at_s = self._opened_s + self._limits.quiet_s  # the first sound takes longer
        if self._heard_s is not None and played_out_s is not None:
            at_s = max(played_out_s - self._limits.dry_s, self._heard_s + self._limits.ask_s)
        return at_s if self._answered_s is None else max(at_s, self._answered_s + _ASK_AGAIN_S)

    def stuck_at(self, played_out_s: float | None, last: bool) -> float | None:
        """When it counts as stuck if nothing comes: it does not answer, or owes what the listener is about to need."""
        times = [] if self._asked_s is None else [self._asked_s + self._limits.answer_s]
        if self._owed_since_s is not None:
            times.append(self._late_at(self._owed_since_s, played_out_s, last))
        return min(times, default=None)

    def _late_at(self, owed_s: float, played_out_s: float | None, last: bool) -> float:
        limits = self._limits
        if self._heard_s is None or played_out_s is None:
            patience_s = max(limits.first_audio_s, limits.last_s) if last else limits.first_audio_s
            return max(self._opened_s, owed_s) + patience_s
        if last:
            return max(played_out_s, self._heard_s, owed_s) + limits.last_s
        starved = played_out_s < owed_s
        begun_s = owed_s + (limits.again_s if starved else limits.quiet_s)
        return max(played_out_s - limits.dry_s, self._heard_s + limits.quiet_s, begun_s)
