"""What a caller types, with bounds: how long, how often, how slowly. What lies beyond is refused, and the caller told.

Reads LiveKit's text streams; what becomes of a text is decided elsewhere. Nothing of a text ever reaches a log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from livekit import rtc

from worker.owned_tasks import OwnedTasks

TOPIC = "lk.chat"
READ_TIMEOUT_S = 10.0  # of one text, from its first byte to its last
MAX_READING = 4  # texts at once
BURST = 5  # texts that may come at once ...
PER_S = 2.0  # ... and how many more each second
REFUSE_EVERY_S = 1.0  # a flood is answered no more often

log = logging.getLogger(__name__)

Take = Callable[[str, rtc.TextStreamReader, str], Awaitable[None]]  # text, its reader, the sender's identity
Refuse = Callable[[str, str], None]  # code, message for the caller


class TypedText:
    """`take` gets each text that is within bounds, one after the other; `refuse` is called for the others."""

    def __init__(
        self,
        *,
        max_chars: int,
        take: Take,
        refuse: Refuse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_chars = max_chars
        self._take = take
        self._refuse = refuse
        self._clock = clock
        self._tasks = OwnedTasks()
        self._tokens, self._filled_at = float(BURST), clock()
        self._refused_at = -REFUSE_EVERY_S
        self.dropped = 0

    def on_stream(self, reader: rtc.TextStreamReader, identity: str) -> None:
        """A text begins to arrive. Returns at once."""
        if len(self._tasks) >= MAX_READING or not self._may_come():
            reader.close()
            self._drop("too_fast", "You are writing faster than I can read. Please wait a moment.")
            return
        self._tasks.start(self._read(reader, identity), "typed-text")

    async def aclose(self) -> None:
        await self._tasks.aclose()

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        text = ""
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                async for piece in reader:
                    text += piece
                    if len(text) > self._max_chars:
                        break
        except TimeoutError:
            self._drop("too_slow", "Your text did not arrive whole. Please send it again.")
            return
        except Exception as error:  # this task's outermost loop: a stream that was cut is the sender's affair
            self.dropped += 1
            log.debug("a typed text did not arrive: %s", type(error).__name__)
            return
        finally:
            reader.close()
        if len(text) > self._max_chars:
            self._drop("text_too_long", f"Your text is too long. At most {self._max_chars} characters are allowed.")
        elif text.strip():
            await self._take(text, reader, identity)

    def _may_come(self) -> bool:
        now = self._clock()
        self._tokens = min(float(BURST), self._tokens + (now - self._filled_at) * PER_S)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _drop(self, code: str, message: str) -> None:
        self.dropped += 1
        now = self._clock()
        if now - self._refused_at >= REFUSE_EVERY_S:
            self._refused_at = now
            self._refuse(code, message)
