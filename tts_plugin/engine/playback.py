"""What every utterance does whatever its voice: takes text, sends sound within the reader's credit, ends exactly once.

The public methods come from any thread and share the back-end's lock. A voice derives from this: it makes samples of
the text that is taken here. Knows no model, no thread and no words; the time is handed in.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.backend import Emit
from tts_plugin.engine.flow import Flow
from tts_plugin.protocol import Audio, Done, Failed, FailureCode, Say, Started, Stats, Word, Words
from tts_plugin.text import Normaliser

Outcome = Literal["done", "cancelled", "failed"]

PIECE_CHARS = 48  # of text that are taken in at once: 0.3 ms
READER_STALL_S = 60.0
SILENCE_S = 0.1  # what a text without anything to say sounds like


@dataclass(frozen=True, slots=True)
class Limits:
    """Of every utterance of one back-end."""

    rate_hz: int
    window_samples: int  # that a reader may leave untaken
    ahead_samples: int  # of a listener in real time
    max_text_chars: int
    starvation_timeout_s: float


class Playback(ABC):
    """`_on_over` is called once, under the lock, as soon as nothing more is said."""

    def __init__(
        self,
        say: Say,
        voice_id: str,
        language: str,
        emit: Emit,
        limits: Limits,
        changed: threading.Condition,
        clock: Callable[[], float],
    ) -> None:
        self.say = say
        self.over = self.cancelled = False
        self.over_at = 0.0
        self.underruns = 0
        self.compute_s = 0.0
        self._emit, self._limits, self._changed, self._clock = emit, limits, changed, clock
        window = limits.window_samples
        self._flow = Flow(
            limits.rate_hz,
            window if say.credit_samples is None else max(0, min(window, say.credit_samples)),
            limits.ahead_samples if say.pace == "realtime" else None,
        )
        self._normaliser = Normaliser(language)
        self._deltas: deque[str] = deque()  # of at most PIECE_CHARS each; bounded by max_text_chars
        self._characters = self._covered = 0
        self._ended = False
        self._text_at = clock()
        self._first_text_at: float | None = None
        self._ttfa_s: float | None = None
        self._pcm: NDArray[np.int16] = np.zeros(0, np.int16)  # made, not yet sent: bounded by what is made at once
        self._blocked_at: float | None = None
        emit(Started(say.id, limits.rate_hz, voice_id))

    # from the server

    def feed(self, delta: str) -> None:
        with self._changed:
            if self.over or self._ended or not delta:
                return
            self._characters += len(delta)
            if self._characters > self._limits.max_text_chars:
                self.fail(
                    "too_long", f"text has more than {self._limits.max_text_chars} characters, which is what is allowed"
                )
                return
            self._deltas += (delta[at : at + PIECE_CHARS] for at in range(0, len(delta), PIECE_CHARS))
            self._text_at = self._clock()
            if self._first_text_at is None:
                self._first_text_at = self._text_at
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def cancel(self) -> None:
        with self._changed:
            self._finish("cancelled", Done(self.say.id, self._flow.sent, True, self._stats()))

    def credit(self, samples: int) -> None:
        with self._changed:
            self._flow.credit(samples)
            self._blocked_at = None
            self._changed.notify()

    def played(self, samples: int) -> None:
        with self._changed:
            self._flow.played(samples, self._clock())
            self._changed.notify()

    # from the back-end

    def fail(self, code: FailureCode, message: str, retryable: bool = False) -> None:
        with self._changed:
            self._finish("failed", Failed(self.say.id, code, message, retryable, self._flow.sent))

    @property
    def audio_s(self) -> float:
        """Seconds of sound sent."""
        return self._flow.sent / self._limits.rate_hz

    def ahead_s(self, now: float) -> float:
        """Seconds of audio that its listener still has."""
        return self._flow.ahead_s(now)

    # from the voice that derives from this

    @abstractmethod
    def _on_over(self, outcome: Outcome) -> None:
        """Under the lock, before the last event is told."""

    @abstractmethod
    def _largest_chunk(self) -> int:
        """Samples that may be sent at once."""

    def _runs_dry(self, now: float) -> bool:
        """A listener in real time has heard all that was sent, and hears a gap."""
        return bool(self._flow.sent) and self.say.pace == "realtime" and self._flow.ahead_s(now) <= 0

    def _next_chunk(self) -> int:
        return min(self._largest_chunk(), self._pcm.size, self._flow.credit_left or self._pcm.size)

    def _send(self, now: float) -> None:
        """As much of what was made as the reader and the listener allow."""
        with self._changed:
            while self._pcm.size and not self.over:
                count = self._next_chunk()
                if self._flow.free_at(count, now) > now:
                    break
                if self._ttfa_s is None and self._first_text_at is not None:
                    self._ttfa_s = now - self._first_text_at
                chunk, self._pcm = self._pcm[:count], self._pcm[count:]
                audio = Audio(self.say.id, self._flow.sent, chunk.astype("<i2", copy=False).tobytes())
                self._flow.send(count, now)
                self._emit(audio)
            blocked = self._flow.credit_left == 0 and not self.over
            self._blocked_at = (self._blocked_at or now) if blocked else None

    def _gives_up_at(self) -> float:
        return math.inf if self._blocked_at is None else self._blocked_at + READER_STALL_S

    def _starves_at(self) -> float:
        return self._text_at + self._limits.starvation_timeout_s

    def _give_up(self) -> None:
        self.fail("timed_out", f"the reader gave no credit for {READER_STALL_S:g} s")

    def _starve(self) -> None:
        with self._changed:
            if not self._deltas and not self._ended:
                self.fail("timed_out", f"no text came for {self._limits.starvation_timeout_s:g} s")

    def _silence(self) -> NDArray[np.int16]:
        return np.zeros(int(SILENCE_S * self._limits.rate_hz), np.int16)

    def _tell(self, words: tuple[Word, ...]) -> None:
        if words:
            with self._changed:
                if not self.over:
                    self._emit(Words(self.say.id, words))

    def _rest_of_text(self, at_s: float) -> tuple[Word, ...]:
        """What no word covered, as a word without a sound: so that the spans join to the whole text."""
        covered, self._covered = max(self._covered, self._normaliser.covered), self._characters
        return (Word("", at_s, at_s, covered, self._characters),) if covered < self._characters else ()

    def _finish_done(self) -> None:
        with self._changed:
            self._finish("done", Done(self.say.id, self._flow.sent, False, self._stats()))

    def _stats(self) -> Stats:
        return Stats(self.audio_s, self._ttfa_s, self.compute_s, self._characters)

    def _finish(self, outcome: Outcome, event: Done | Failed) -> None:
        if self.over:
            return
        self.over, self.over_at, self.cancelled = True, self._clock(), outcome == "cancelled"
        self._pcm = self._pcm[:0]
        self._on_over(outcome)
        self._emit(event)
