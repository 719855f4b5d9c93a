"""One request's sound on its way to a listener: when each piece came, and when a listener in real time ran dry."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

AUDIBLE = 0.003 * 32767  # -50 dBFS


@dataclass(slots=True)
class Spoken:
    """Times are seconds after the request was due. `outcome`: ok, or the code of the refusal or failure."""

    due_s: float
    rate_hz: int = 24_000
    first_byte_s: float | None = None
    audible_s: float | None = None
    ended_s: float | None = None
    samples: int = 0
    lateness_s: list[float] = field(default_factory=list)  # of each piece, for who plays from the first byte on
    gaps_s: list[float] = field(default_factory=list)  # between pieces
    outcome: str = "ok"
    _last_s: float = 0.0

    @property
    def refused(self) -> bool:
        return self.outcome in ("at_capacity", "too_often", "too_many_at_once", "draining")

    @property
    def underrun(self) -> bool:
        return any(late > 0 for late in self.lateness_s)

    def take(self, pcm: bytes, after_s: float) -> None:
        """`pcm`: mono s16le, whole samples."""
        if self.first_byte_s is None:
            self.first_byte_s = after_s
        else:
            self.gaps_s.append(after_s - self._last_s)
            self.lateness_s.append(after_s - (self.first_byte_s + self.samples / self.rate_hz))
        if self.audible_s is None:
            loud = np.flatnonzero(np.abs(np.frombuffer(pcm, np.int16)) > AUDIBLE)
            if len(loud):  # heard when it is played, not before it has come
                played_s = self.first_byte_s + (self.samples + int(loud[0])) / self.rate_hz
                self.audible_s = max(after_s, played_s)
        self.samples += len(pcm) // 2
        self._last_s = after_s
