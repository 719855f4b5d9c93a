"""The deadline of the recogniser's final words: a caller who has spoken is not left waiting for them.

Told when the caller speaks and pauses and what was transcribed; says once per pause that the final words are late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LEAST_SPEECH_S = 1.0  # shorter sounds without any words were no words


class FinalWords:
    """`on_late(has_words)` is called `timeout_s` after the pause; `has_words`: replaceable ones were there."""

    def __init__(self, *, timeout_s: float, on_late: Callable[[bool], None]) -> None:
        self._timeout_s = timeout_s
        self._on_late = on_late
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._spoke_at = self._loop.time()
        self._has_words = False
        self._is_final = True

    def caller_spoke(self) -> None:
        self.cancel()
        if self._is_final:
            self._has_words = False
        self._is_final = False
        self._spoke_at = self._loop.time()

    def caller_paused(self) -> None:
        self.cancel()
        long_enough = self._loop.time() - self._spoke_at >= LEAST_SPEECH_S
        if not self._is_final and (long_enough or self._has_words):
            self._timer = self._loop.call_later(self._timeout_s, self._late)

    def transcribed(self, text: str, *, final: bool) -> None:
        """Words were recognised. The final ones settle everything before them."""
        if not text.strip():
            return
        self._has_words = not final
        if final:
            self._is_final = True
            self.cancel()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer, self._is_final = None, True
        has_words, self._has_words = self._has_words, False
        self._on_late(has_words)
