"""How many utterances run in real time: from steps measured at the start, and from every step since. Pure.

A step of all rows must leave head-room to real time, and a newcomer waits for the running step before its own: both
together must keep the first sound within its target. A slower moment lowers the capacity, and it comes back slowly;
those who already speak are never touched, only admission reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

HEADROOM = 1.3  # real time ÷ a step's time, at least
_FALL, _RISE = 0.15, 0.02  # weight of one step: a slower one counts at once, a faster one must be believed
_LIMITS = (0.5, 50.0)  # of the slow-down; one step says no more than that


class Measured(NamedTuple):
    """A step of so many rows took so long."""

    rows: int
    seconds: float


def step_limit_s(latent_s: float, ttfa_target_s: float) -> float:
    """The longest that a step may take."""
    return min(latent_s / HEADROOM, ttfa_target_s / 2)


class Capacity:
    """`measured`: by rows, upwards, at least one. `most`: what memory or the operator allows."""

    def __init__(self, measured: Sequence[Measured], *, latent_s: float, ttfa_target_s: float, most: int) -> None:
        self._measured = tuple(sorted(measured))
        self._latent_s, self._most = latent_s, most
        self.limit_s = step_limit_s(latent_s, ttfa_target_s)
        self.slowdown = 1.0  # of steps now against those measured

    @property
    def real_time(self) -> bool:
        """Whether at least one utterance runs in real time."""
        return self.fitting >= 1

    @property
    def rows(self) -> int:
        """Utterances that may be admitted now, 1 … most: who asked for this engine is not refused for its slowness."""
        return max(1, self.fitting)

    @property
    def fitting(self) -> int:
        """Utterances whose step keeps the limit now; 0 when not even one does."""
        low, high = 0, self._most
        while low < high:  # expected_s grows with the rows
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.expected_s(middle) <= self.limit_s else (low, middle - 1)
        return low

    def headroom(self, rows: int) -> float:
        """Real time ÷ the time of a step of so many rows now; below 1 listeners hear gaps."""
        return self._latent_s / max(1e-6, self.expected_s(max(1, rows)))

    def stepped(self, rows: int, seconds: float) -> None:
        """A step of the engine ended."""
        low, high = _LIMITS
        ratio = min(high, max(low, seconds / self._quiet_s(rows)))
        self.slowdown += (_FALL if ratio > self.slowdown else _RISE) * (ratio - self.slowdown)

    def expected_s(self, rows: int) -> float:
        """How long a step of so many rows takes now."""
        return self._quiet_s(rows) * self.slowdown

    def _quiet_s(self, rows: int) -> float:
        """As measured; between two sizes on a line, beyond the last as its last piece goes on."""
        if rows <= self._measured[0].rows:
            return max(1e-6, self._measured[0].seconds)
        pairs = list(zip(self._measured, self._measured[1:], strict=False))
        if not pairs:
            return max(1e-6, self._measured[0].seconds * rows / self._measured[0].rows)
        lower, upper = next((pair for pair in pairs if rows <= pair[1].rows), pairs[-1])
        slope = max(0.0, (upper.seconds - lower.seconds) / (upper.rows - lower.rows))
        return max(1e-6, lower.seconds + slope * (rows - lower.rows))
