"""A simulated surge: calls grow to their peak, an autoscaler follows, new workers come late. How many are refused?

One step a second. Arrivals are Poisson's, lengths exponential; the autoscaler reads and waits as Kubernetes' does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

SCALE_DOWN_AFTER_S = 300
AFTER_PEAK_S = 1_800


@dataclass(frozen=True, slots=True)
class Fleet:
    """`per_worker` calls each; `target` is the occupancy that the autoscaler keeps; times in seconds."""

    per_worker: int
    target: float
    least: int
    most: int
    sync_s: int = 15
    cold_start_s: int = 180


@dataclass(frozen=True, slots=True)
class Surge:
    """From `base` calls at once to `peak` within `ramp_s` seconds; each lasts `call_s` on average."""

    base: float
    peak: float
    ramp_s: int
    call_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    arrived: int
    refused: int
    most_workers: int
    worker_hours: float
    call_hours: float

    @property
    def refused_share(self) -> float:
        return self.refused / self.arrived if self.arrived else 0.0


def simulate(fleet: Fleet, surge: Surge, *, seed: int = 1) -> Outcome:
    random = np.random.default_rng(seed)
    workers, coming = max(fleet.least, _wanted(fleet, surge.base)), deque[tuple[int, int]]()
    active = int(surge.base)
    arrived = refused = worker_s = call_s = 0
    most, quiet_since = workers, 0
    for second in range(surge.ramp_s + AFTER_PEAK_S):
        while coming and coming[0][0] <= second:
            workers += coming.popleft()[1]
        active -= int(random.binomial(active, 1 / surge.call_s))
        new = int(random.poisson(_arrivals(surge, second)))
        taken = min(new, workers * fleet.per_worker - active)
        active += max(0, taken)
        arrived, refused = arrived + new, refused + new - max(0, taken)
        if second % fleet.sync_s == 0:
            wanted, there = _wanted(fleet, active), workers + sum(count for _, count in coming)
            if wanted > there:
                coming.append((second + fleet.cold_start_s, wanted - there))
                quiet_since = second
            elif wanted == there:
                quiet_since = second
            elif second - quiet_since >= SCALE_DOWN_AFTER_S and workers > fleet.least:
                workers -= 1
        most = max(most, workers)
        worker_s, call_s = worker_s + workers, call_s + active
    return Outcome(arrived, refused, most, worker_s / 3600, call_s / 3600)


def least_workers(fleet: Fleet, surge: Surge, allowed: float) -> int:
    """The smallest minimum of replicas with which at most `allowed` of the callers are refused in the surge."""
    low, high = 1, fleet.most
    while low < high:
        middle = (low + high) // 2
        tried = Fleet(fleet.per_worker, fleet.target, middle, fleet.most, fleet.sync_s, fleet.cold_start_s)
        if simulate(tried, surge).refused_share <= allowed:
            high = middle
        else:
            low = middle + 1
    return low


def _arrivals(surge: Surge, second: int) -> float:
    """Per second, so that on average the number of calls follows the ramp."""
    grown = min(1.0, second / surge.ramp_s)
    now = surge.base + (surge.peak - surge.base) * grown
    growth = (surge.peak - surge.base) / surge.ramp_s if second < surge.ramp_s else 0.0
    return now / surge.call_s + growth


def _wanted(fleet: Fleet, active: float) -> int:
    return max(fleet.least, min(fleet.most, -(-int(active) // max(1, int(fleet.per_worker * fleet.target)))))
