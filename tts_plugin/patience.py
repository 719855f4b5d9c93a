"""How long to wait for an engine before it counts as stuck: the rules, as plain arithmetic on a clock of the caller's.

An engine is only late while it owes audio: it has text to speak, and the listener has (almost) none left to hear.
A language model that pauses is not the engine's fault, and an engine that runs ahead of its listener may rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# More unspoken text than any voice waits for before it speaks: with so much in hand an open utterance owes audio.
ENOUGH_CHARS = 400


@dataclass(slots=True)
class Patience:
    """Deadlines of one utterance. `first_audio_s`: from text to the first audio; `stall_s`: silence after the last
    audio is played out. Times are seconds of any monotonic clock, always the same one.
    """

    first_audio_s: float
    stall_s: float
    _owed_since_s: float | None = field(default=None, init=False)
    _played_out_s: float | None = field(default=None, init=False)
    _aligned: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)

    @property
    def deadline_s(self) -> float | None:
        """When the engine counts as stuck; None while it owes nothing."""
        if self._owed_since_s is None:
            return None
        if self._played_out_s is None:
            return self._owed_since_s + self.first_audio_s
        return max(self._owed_since_s, self._played_out_s) + self.stall_s

    @property
    def complaint(self) -> str:
        if self._played_out_s is None:
            return f"no audio within {self.first_audio_s:g} s of the text"
        return f"no audio for {self.stall_s:g} s after the last was played, with text still to speak"

    def text(self, unspoken_chars: int, now_s: float) -> None:
        """Text was fed and `unspoken_chars` of all that was fed are without a spoken word."""
        # Once it speaks, an engine without word timings never says how far it is: only the end of the text binds it.
        enough = unspoken_chars >= ENOUGH_CHARS and (self._aligned or self._played_out_s is None)
        self._owe(self._ended or enough, now_s)

    def words(self, unspoken_chars: int, now_s: float) -> None:
        """Word timings came."""
        self._aligned = True
        self.text(unspoken_chars, now_s)

    def end(self, now_s: float) -> None:
        """There is no more text: whatever was fed is owed now."""
        self._ended = True
        self._owe(True, now_s)

    def audio(self, duration_s: float, now_s: float) -> None:
        """So much audio came."""
        self._played_out_s = max(self._played_out_s or now_s, now_s) + duration_s
        self._owe((self._ended or self._aligned) and self._owed_since_s is not None, now_s)

    def _owe(self, owed: bool, now_s: float) -> None:
        if not owed:
            self._owed_since_s = None
        elif self._owed_since_s is None:
            self._owed_since_s = now_s
