"""How many calls share an engine's slots: in a call the agent speaks for a part of the time only."""

from __future__ import annotations

import math


def overflow(calls: int, slots: int, duty: float) -> float:
    """Probability that more than `slots` of `calls` agents speak at once, each for `duty` of the time."""
    if slots >= calls:
        return 0.0
    log_duty, log_quiet = math.log(duty), math.log1p(-duty)
    total = 0.0
    for speaking in range(slots + 1, calls + 1):
        ways = math.lgamma(calls + 1) - math.lgamma(speaking + 1) - math.lgamma(calls - speaking + 1)
        total += math.exp(ways + speaking * log_duty + (calls - speaking) * log_quiet)
    return min(1.0, total)


def calls_per_engine(slots: int, duty: float, allowed: float) -> int:
    """The most calls for which `overflow` is at most `allowed`. An overflowing utterance takes the standby voice."""
    if duty >= 1:
        return slots
    low, high = slots, max(slots + 1, int(slots / duty) + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if overflow(middle, slots, duty) <= allowed:
            low = middle
        else:
            high = middle - 1
    return low
