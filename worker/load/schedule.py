"""When requests are due. They come when they are due, whatever became of those before: no coordinated omission."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

Kind = Literal["poisson", "constant"]


def due(rate: float, duration_s: float, *, kind: Kind = "poisson", seed: int = 1) -> Iterator[float]:
    """Seconds after the start: gaps of mean 1 ÷ `rate`, exponential or equal. The same for the same seed."""
    drawn, at_s = random.Random(seed), 0.0
    while True:
        at_s += drawn.expovariate(rate) if kind == "poisson" else 1 / rate
        if at_s >= duration_s:
            return
        yield at_s
