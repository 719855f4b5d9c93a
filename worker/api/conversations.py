"""What was said before, by conversation: so that a caller need not send it again. Bounded, and forgotten after a while.

Kept in this process only, and never written anywhere.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

KEEP_S = 1_800.0  # after the last turn
MAX_CONVERSATIONS = 256
MAX_TURNS = 20  # of one; older ones are forgotten


class Message(NamedTuple):
    role: Literal["user", "assistant"]
    text: str


@dataclass(slots=True)
class _Conversation:
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=2 * MAX_TURNS))
    until_s: float = 0.0


class Conversations:
    """`clock`: monotonic seconds."""

    def __init__(self, *, most: int = MAX_CONVERSATIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._all: OrderedDict[str, _Conversation] = OrderedDict()  # the one used last is last
        self._most = most
        self._clock = clock

    def said(self, id: str) -> list[Message]:
        """Empty for one that is new or forgotten."""
        self._forget()
        conversation = self._all.get(id)
        return list(conversation.messages) if conversation else []

    def add(self, id: str, text: str, answer: str) -> None:
        """One turn. Turns of one conversation that were asked for at once stand in the order in which they ended."""
        conversation = self._all.setdefault(id, _Conversation())
        conversation.messages += (Message("user", text), Message("assistant", answer))
        conversation.until_s = self._clock() + KEEP_S
        self._all.move_to_end(id)
        self._forget()

    def _forget(self) -> None:
        while self._all:
            oldest = next(iter(self._all))
            if len(self._all) <= self._most and self._all[oldest].until_s > self._clock():
                return
            del self._all[oldest]
