"""So many utterances said at once through a back-end, without a network: when each one's audio came.

All begin at the same moment, none is held back for a listener. After `frames` chunks each an utterance has been
measured and is cancelled.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tts_plugin.engine.backend import Backend, Event
from tts_plugin.protocol import Audio, Done, Failed, Say

DEADLINE_S = 900.0  # the real size on a slow CPU
TEXT = (
    "Thank you for calling. I have found your order from last week, and I can see that the parcel left our house on "
    "Monday morning. The driver tried to reach you at home, but nobody opened the door, so he took it back to the shop "
    "around the corner. You can collect it there every day until the evening, or we send it to you once more. "
    "Which of the two would you like?"
)


class NotSaid(RuntimeError):
    """An utterance of the benchmark failed, or took too long."""


@dataclass(frozen=True, slots=True)
class Chunk:
    at_s: float  # after the text
    first_sample: int
    samples: int


@dataclass(frozen=True, slots=True)
class Timing:
    """One utterance."""

    chunks: tuple[Chunk, ...]
    rate_hz: int

    @property
    def ttfa_s(self) -> float:
        return self.chunks[0].at_s

    @property
    def frame_s(self) -> tuple[float, ...]:
        """From each chunk to the next."""
        return tuple(b.at_s - a.at_s for a, b in zip(self.chunks, self.chunks[1:], strict=False))

    @property
    def rtf(self) -> float:
        """Of all that came after the first chunk: time ÷ audio. 0 when nothing did."""
        audio_s = sum(chunk.samples for chunk in self.chunks[1:]) / self.rate_hz
        return (self.chunks[-1].at_s - self.chunks[0].at_s) / audio_s if audio_s else 0.0

    @property
    def late(self) -> int:
        """Chunks that a listener who began to play the first at once had to wait for: each wait moves what follows."""
        late, due_s = 0, self.chunks[0].at_s
        for before, chunk in zip(self.chunks, self.chunks[1:], strict=False):
            due_s += before.samples / self.rate_hz
            if chunk.at_s > due_s:
                late, due_s = late + 1, chunk.at_s
        return late


@dataclass(slots=True)
class _Listener:
    """Notes when audio comes. Called from the back-end's threads."""

    began_s: float
    frames: int
    chunks: list[Chunk] = field(default_factory=list)  # bounded by frames
    failed: Failed | None = None
    measured: threading.Event = field(default_factory=threading.Event)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Audio) and len(self.chunks) < self.frames:
            self.chunks.append(Chunk(time.monotonic() - self.began_s, event.offset, event.samples))
        if isinstance(event, Failed):
            self.failed = event
        if isinstance(event, Done | Failed) or len(self.chunks) >= self.frames:
            self.measured.set()


def say_together(backend: Backend, count: int, frames: int) -> list[Timing]:
    """Raises NotSaid, and Refused where the back-end has no room for so many."""
    began_s = time.monotonic()
    listeners = [_Listener(began_s, frames) for _ in range(count)]
    utterances = [
        backend.admit(Say(f"bench-{n}", pace="fast", seed=n), listener) for n, listener in enumerate(listeners)
    ]
    try:
        for utterance in utterances:
            utterance.feed(TEXT)
            utterance.end()
        for listener in listeners:
            _wait(listener)
    finally:
        for utterance in utterances:
            utterance.cancel()
    return [Timing(tuple(listener.chunks), backend.sample_rate_hz) for listener in listeners]


def _wait(listener: _Listener) -> None:
    in_time = listener.measured.wait(DEADLINE_S - (time.monotonic() - listener.began_s))
    if listener.failed is not None:
        raise NotSaid(f"{listener.failed.code}: {listener.failed.message}")
    if not in_time:
        raise NotSaid(f"{len(listener.chunks)} of {listener.frames} chunks after {DEADLINE_S:.0f} s")
    if not listener.chunks:
        raise NotSaid("the voice said nothing")
