"""How long to wait before one process is started again, and when to give up. Pure: the clock is given."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class RestartPolicy:
    """One per process that is kept alive. The pause grows with each death, and is short again after a quiet minute."""

    FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
    MOST_DEATHS, WINDOW_S = 5, 60.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: deque[float] = deque(maxlen=self.MOST_DEATHS)
        self._pause_s = self.FIRST_PAUSE_S

    def died(self) -> float | None:
        """Seconds to wait before the next start; None: five deaths in a minute, give up."""
        now = self._clock()
        if self._deaths and now - self._deaths[-1] > self.WINDOW_S:
            self._pause_s = self.FIRST_PAUSE_S
        self._deaths.append(now)
        if len(self._deaths) == self.MOST_DEATHS and now - self._deaths[0] <= self.WINDOW_S:
            return None
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, self.LONGEST_PAUSE_S)
        return pause_s
