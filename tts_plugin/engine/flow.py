"""How much of one utterance may be sent now: never more than the reader's credit, never too far ahead of the listener.

Pure: the time is handed in. Where the listener is, is reckoned from what was sent and when, or from what it says.
"""

from __future__ import annotations

import math


class Flow:
    """Counts samples. `ahead_samples` is None where nobody listens in real time."""

    def __init__(self, rate_hz: int, window_samples: int, ahead_samples: int | None) -> None:
        self.sent = 0
        self._rate_hz = rate_hz
        self._window = self._credit = window_samples
        self._ahead = ahead_samples
        self._head = 0.0  # where the listener was at _head_at
        self._head_at = 0.0

    @property
    def credit_left(self) -> int:
        return self._credit - self.sent  # never negative: nothing is sent without credit

    def credit(self, samples: int) -> None:
        """The reader took so many more. It can only take what was sent."""
        self._credit = min(self._credit + samples, self.sent + self._window)

    def played(self, samples: int, now: float) -> None:
        """The listener says that it has heard so many."""
        self._head, self._head_at = float(min(samples, self.sent)), now

    def ahead_s(self, now: float) -> float:
        """Seconds of audio that the listener still has."""
        return (self.sent - self._position(now)) / self._rate_hz

    def send(self, samples: int, now: float) -> None:
        self._head, self._head_at = self._position(now), now
        self.sent += samples

    def free_at(self, samples: int, now: float) -> float:
        """When `samples` may be sent: now, later, or (waiting for credit) never by itself."""
        if samples > self.credit_left:
            return math.inf
        if self._ahead is None:
            return now
        too_many = self.sent + samples - self._position(now) - max(self._ahead, samples)
        return now + max(0.0, too_many / self._rate_hz)

    def _position(self, now: float) -> float:
        return min(float(self.sent), self._head + (now - self._head_at) * self._rate_hz)
