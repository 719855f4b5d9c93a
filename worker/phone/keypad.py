"""Keys that a caller presses: gathered to one input, and given to whoever asked for it, or to the conversation.

The digits may be a card number: they go to nobody else, and to no log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

KEYS = frozenset("0123456789*#ABCDabcd")
MAX_KEYS = 64
PAUSE_S = 2.5  # after the last key an input is complete


class Keypad:
    """`take(digits)` gets an input that nobody waits for; `pressed()` is told of each first key of one."""

    def __init__(
        self,
        take: Callable[[str], None],
        *,
        pressed: Callable[[], None] = lambda: None,
        pause_s: float = PAUSE_S,
        terminator: str = "#",
    ) -> None:
        self._take = take
        self._pressed = pressed
        self._pause_s = pause_s
        self._terminator = terminator
        self._digits = ""
        self._timer: asyncio.TimerHandle | None = None
        self._asked: asyncio.Queue[str] | None = None

    def press(self, key: str) -> None:
        """One key, as the bridge tells of it; what is no key is dropped."""
        if key not in KEYS:
            return
        if self._asked is not None:
            if self._asked.qsize() < MAX_KEYS:
                self._asked.put_nowait(key)
            return
        if not self._digits:
            self._pressed()
        self._stop()
        if key != self._terminator:
            self._digits += key
        if key == self._terminator or len(self._digits) >= MAX_KEYS:
            self._done()
        else:
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._done)

    async def collect(self, *, most: int, first_s: float, pause_s: float, terminator: str = "#") -> str:
        """The next input: until `terminator`, `most` digits, or `pause_s` without a key; "" when none comes at all.

        What was pressed just before and given to nobody yet belongs to it. Raises RuntimeError when somebody else
        collects.
        """
        if self._asked is not None:
            raise RuntimeError("digits are being collected already")
        self._stop()
        digits, self._digits = self._digits, ""
        self._asked = asyncio.Queue()
        try:
            while len(digits) < most:
                try:
                    async with asyncio.timeout(pause_s if digits else first_s):
                        key = await self._asked.get()
                except TimeoutError:
                    break
                if key == terminator:
                    break
                digits += key
        finally:
            self._asked = None
        return digits[:most]

    def close(self) -> None:
        self._stop()
        self._digits = ""

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _done(self) -> None:
        self._stop()
        digits, self._digits = self._digits, ""
        if digits:
            self._take(digits)
