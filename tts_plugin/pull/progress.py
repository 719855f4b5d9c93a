"""How far a download is: a bar on a terminal, else a line every few seconds. Knows nothing of networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

BAR_CELLS = 24
REDRAW_S = 0.1


class Progress:
    """Shows one file at a time: `start`, `at` as often as one likes, `say`."""

    def __init__(
        self,
        out: TextIO,
        *,
        terminal: bool | None = None,
        every_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._terminal = out.isatty() if terminal is None else terminal
        self._every_s = REDRAW_S if self._terminal else every_s
        self._clock = clock
        self._name = ""
        self._total: int | None = None
        self._first, self._began_s, self._shown_s = 0, 0.0, 0.0

    def start(self, name: str, total: int | None, done: int = 0, *, announce: bool = True) -> None:
        self._name, self._total, self._first = name, total, done
        self._began_s = self._shown_s = self._clock()
        if self._terminal:
            self._show(done)
        elif announce:
            size = f", {amount(total)}" if total else ""
            self.say(f"{name}{size}{f', going on at {amount(done)}' if done else ''}")

    def expect(self, total: int | None) -> None:
        """The size is known only now."""
        self._total = total

    def at(self, done: int) -> None:
        if self._clock() - self._shown_s >= self._every_s:
            self._shown_s = self._clock()
            self._show(done)

    def say(self, line: str) -> None:
        """Replaces the bar by a line that stays."""
        self._clear()
        self._out.write(line + "\n")
        self._out.flush()

    def _show(self, done: int) -> None:
        text = self._line(done)
        self._out.write(f"\r\x1b[K{text}" if self._terminal else f"  {text}\n")
        self._out.flush()

    def _clear(self) -> None:
        if self._terminal:
            self._out.write("\r\x1b[K")

    def _line(self, done: int) -> str:
        took_s = self._clock() - self._began_s
        rate = (done - self._first) / took_s if took_s > 0 else 0.0
        speed = f"  {amount(rate)}/s" if rate else ""
        if not self._total:
            return f"{self._name}  {amount(done)}{speed}"
        share = min(1.0, done / self._total)
        bar = f"[{'#' * round(share * BAR_CELLS):<{BAR_CELLS}}]  " if self._terminal else ""
        left = f"  {_duration((self._total - done) / rate)} left" if rate else ""
        return f"{self._name}  {bar}{share:4.0%}  {amount(done)} of {amount(self._total)}{speed}{left}"


def amount(count: float) -> str:
    """Bytes for people: 2035332888 → 2.04 GB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}" if unit == "GB" else f"{count / size:.0f} {unit}"
    return f"{count:.0f} bytes"


def _duration(seconds: float) -> str:
    whole = int(min(seconds, 359_999))
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    )
