"""How long something took, counted into buckets as a histogram of Prometheus has them. Not thread-safe."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple

EDGES_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)


class DelayCounts(NamedTuple):
    """`up_to[n]`: how many took at most EDGES_S[n] seconds; the last one is all of them."""

    up_to: tuple[int, ...] = (0,) * (len(EDGES_S) + 1)
    total_s: float = 0.0


class Delays:
    def __init__(self) -> None:
        self._counts = [0] * (len(EDGES_S) + 1)
        self._total_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(EDGES_S, seconds)] += 1
        self._total_s += seconds

    @property
    def counts(self) -> DelayCounts:
        return DelayCounts(tuple(accumulate(self._counts)), self._total_s)
