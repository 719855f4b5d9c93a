"""Progress of a set-up on the terminal: `[2/6] Python packages … 12.3 s`, with a sign of life in long steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator


class Steps:
    """Numbers the steps and times each. `life(text)` inside a step tells that it is still at work."""

    def __init__(self, total: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._number = 0
        self._clock = clock
        self._broken_line = False

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._number += 1
        self._broken_line = False
        label = f"[{self._number}/{self._total}] {name} …"
        started = self._clock()
        print(label, end="", flush=True)
        try:
            yield
        except BaseException:
            print(" failed" if not self._broken_line else f"{label} failed", flush=True)
            raise
        took = f"{self._clock() - started:.1f} s"
        print(f"{label} {took}" if self._broken_line else f" {took}", flush=True)

    def life(self, text: str) -> None:
        if not self._broken_line:
            print(flush=True)
            self._broken_line = True
        print(f"      {text}", flush=True)
