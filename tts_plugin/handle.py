"""The client's side of one utterance: text goes in, audio and words come out.

Knows nothing of sockets: it is handed a function that sends, and is told what arrives.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable

from tts_plugin.protocol import (
    Audio,
    Cancel,
    Credit,
    Done,
    Down,
    End,
    Failed,
    FailureCode,
    Hello,
    Played,
    Started,
    Stats,
    Text,
    Up,
    Words,
)

Item = Started | Audio | Words

_TEXT_CHARS = 8_000  # of one message: at most 48,000 bytes of JSON, under MAX_MESSAGE_BYTES
_CREDIT_SAMPLES = 12_000  # credit goes back in steps of half a second
_INBOX_SAMPLES = 4_000_000  # 167 s at 24 kHz; only a server that ignores credit gets there
_SURROGATE = re.compile("[\ud800-\udfff]")


class EngineFailed(Exception):
    """The engine refused or ended the utterance; `code` is one of protocol.FailureCode."""

    def __init__(
        self,
        code: FailureCode,
        message: str,
        retryable: bool = False,
        retry_after_s: float | None = None,
        samples_received: int = 0,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code: FailureCode = code
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.samples_received = samples_received


class EngineUnreachable(Exception):
    """No engine answers at the address, or its socket died."""

    def __init__(self, message: str, samples_received: int = 0) -> None:
        super().__init__(message)
        self.samples_received = samples_received


class Utterance:
    """One thing being said. `feed`, `end`, `cancel` and `played` return at once and never raise.

    Iterate to receive `Started`, `Audio` and `Words`. The iteration ends when all was said (then `stats` is there) or
    after `cancel`; it raises EngineFailed or EngineUnreachable. It has no deadline of its own, but never outlives the
    socket. Taking an item gives the engine leave to send as much again.
    """

    def __init__(self, id: str, send: Callable[[Up], None], leave: Callable[[str], None]) -> None:
        self.id = id
        self.samples = 0  # received so far
        self.stats: Stats | None = None
        self._send = send
        self._leave = leave
        self._inbox: deque[Item] = deque()  # bounded by _INBOX_SAMPLES
        self._queued_samples = 0
        self._owed_samples = 0
        self._text_open = True
        self._over = False
        self._error: EngineFailed | EngineUnreachable | None = None
        self._wake = asyncio.Event()
        self._on_answer: Callable[[], None] | None = None

    @property
    def over(self) -> bool:
        """Nothing more will arrive from the engine."""
        return self._over

    def feed(self, delta: str) -> None:
        """Say this too. Lone surrogates become U+FFFD, so that character positions stay as they were."""
        if not self._text_open or not delta:
            return
        delta = _SURROGATE.sub("\ufffd", delta)
        for start in range(0, len(delta), _TEXT_CHARS):
            self._send(Text(self.id, delta[start : start + _TEXT_CHARS]))

    def end(self) -> None:
        """No more text will come."""
        if self._text_open:
            self._text_open = False
            self._send(End(self.id))

    def cancel(self) -> None:
        """Stop speaking. Sends and forgets: whatever is still on its way is dropped."""
        if not self._over:
            self._send(Cancel(self.id))
            self._inbox.clear()
            self._finish(None)
            self._leave(self.id)

    def played(self, samples: int) -> None:
        """The listener has heard so many samples of this utterance."""
        if not self._over:
            self._send(Played(self.id, samples))

    def ask(self, on_answer: Callable[[], None]) -> None:
        """Ask the engine whether it is there; it says hello again, whatever it is busy with, unless it is frozen."""
        if not self._over:
            self._on_answer = on_answer
            self._send(Hello())

    def receive(self, message: Down | Audio) -> None:
        """For the connection: a message with this utterance's id arrived."""
        if self._over:
            return
        if isinstance(message, Hello):
            on_answer, self._on_answer = self._on_answer, None
            if on_answer is not None:
                on_answer()
        elif isinstance(message, Done):
            self.stats = message.stats
            self._finish(None)
        elif isinstance(message, Failed):
            self._finish(
                EngineFailed(message.code, message.message, message.retryable, message.retry_after_s, self.samples)
            )
        elif isinstance(message, Started | Words | Audio):
            self._take_in(message)

    def lost(self, reason: str) -> None:
        """For the connection: the socket died."""
        if not self._over:
            self._finish(EngineUnreachable(reason, self.samples))

    def __aiter__(self) -> Utterance:
        return self

    async def __anext__(self) -> Item:
        while not self._inbox:
            if self._over:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        item = self._inbox.popleft()
        if isinstance(item, Audio):
            self._give_credit(item.samples)
        return item

    def _take_in(self, item: Item) -> None:
        if isinstance(item, Audio):
            self.samples += item.samples
            self._queued_samples += item.samples
            if self._queued_samples > _INBOX_SAMPLES:
                self._send(Cancel(self.id))
                self._finish(
                    EngineFailed("engine_error", "the engine sent more than its credit", True, None, self.samples)
                )
                self._leave(self.id)
                return
        self._inbox.append(item)
        self._wake.set()

    def _give_credit(self, samples: int) -> None:
        self._queued_samples -= samples
        self._owed_samples += samples
        if self._owed_samples >= _CREDIT_SAMPLES and not self._over:
            self._send(Credit(self.id, self._owed_samples))
            self._owed_samples = 0

    def _finish(self, error: EngineFailed | EngineUnreachable | None) -> None:
        self._text_open = False
        self._over = True
        self._error = error
        self._wake.set()
