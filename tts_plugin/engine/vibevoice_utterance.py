"""One utterance of VibeVoice as the server sees it: deltas in, events out. How far its speech has come is in Progress.

The public methods come from any thread and share the engine's lock; the rest runs in the engine's thread. Knows no
model and no tensor: ids go to the engine as work, samples come back.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.backend import Emit
from tts_plugin.engine.flow import Flow
from tts_plugin.engine.runner import Opening, Samples
from tts_plugin.engine.scheduler import Candidate
from tts_plugin.engine.timing import WordClock
from tts_plugin.engine.tokenizer import IncrementalTokenizer
from tts_plugin.engine.utterance import SPEECH_WINDOW, TEXT_WINDOW, Progress, Work
from tts_plugin.protocol import Audio, Done, Failed, FailureCode, Say, Started, Stats, Word, Words
from tts_plugin.text import Normaliser, SpokenWord

Outcome = Literal["done", "cancelled", "failed"]

_SILENCE_S = 0.1  # what a text without anything to say sounds like
_READER_STALL_S = 60.0
_SILENCE_PEAK = 0.003  # -50 dB: nobody hears it beside speech
_FULL_SCALE = 32_767


@dataclass(frozen=True, slots=True)
class Limits:
    rate_hz: int
    samples_per_latent: int
    window_samples: int
    ahead_samples: int
    max_text_chars: int
    starvation_timeout_s: float


class VibeVoiceUtterance:
    """`on_over` is called once, under the lock, as soon as nothing more is said."""

    def __init__(
        self,
        say: Say,
        slot: int,
        opening: Opening,
        progress: Progress,
        tokenizer: IncrementalTokenizer,
        normaliser: Normaliser,
        emit: Emit,
        limits: Limits,
        changed: threading.Condition,
        clock: Callable[[], float],
        on_over: Callable[[VibeVoiceUtterance, Outcome], None],
    ) -> None:
        self.say, self.slot, self.opening, self.progress = say, slot, opening, progress
        self.over = False
        self.over_at = 0.0
        self.underruns = 0
        self.starved = 0  # times the listener heard nothing because there was no text
        self.compute_s = 0.0
        self._tokenizer, self._normaliser = tokenizer, normaliser
        self._emit, self._limits, self._changed, self._clock, self._on_over = emit, limits, changed, clock, on_over
        window = limits.window_samples
        self._flow = Flow(
            limits.rate_hz,
            window if say.credit_samples is None else max(0, min(window, say.credit_samples)),
            limits.ahead_samples if say.pace == "realtime" else None,
        )
        self._words = WordClock(TEXT_WINDOW, SPEECH_WINDOW * limits.samples_per_latent / limits.rate_hz)
        self._deltas: list[str] = []  # bounded by max_text_chars
        self._characters = 0
        self._ended = False
        self._text_closed = False
        self._text_at = clock()
        self._first_text_at: float | None = None
        self._ttfa_s: float | None = None
        self._ids = 0  # that are certain
        self._any_word = False
        self._pcm: NDArray[np.int16] = np.zeros(0, np.int16)  # made, not yet sent: one latent's at most
        self._made = 0  # samples, sent or not
        self._silent = 0  # latents in a row
        self._runnable_since: float | None = None
        self._was_starving = False
        self._blocked_at: float | None = None
        emit(Started(say.id, limits.rate_hz, opening.voice))

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
            self._deltas.append(delta)
            self._text_at = self._clock()
            self._first_text_at = self._first_text_at or self._text_at
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def cancel(self) -> None:
        with self._changed:
            if not self.over:
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

    # from the engine

    def fail(self, code: FailureCode, message: str, retryable: bool = False) -> None:
        with self._changed:
            if not self.over:
                self._finish("failed", Failed(self.say.id, code, message, retryable, self._flow.sent))

    def take_in(self) -> None:
        """Text that came since: to words, to ids."""
        with self._changed:
            deltas, self._deltas = self._deltas, []
            ended = self._ended
        for delta in deltas:
            self._add(self._normaliser.feed(delta))
        if ended and not self._text_closed:
            self._text_closed = True
            self._add(self._normaliser.end())
            if self._any_word:
                self._take(self._tokenizer.feed("\n") + self._tokenizer.end())
            self.progress.end_text()

    def candidate(self, now: float) -> Candidate | None:
        """Stands for a turn when there is something to compute and room for what comes of it."""
        if self.over or self._pcm.size or not self.progress.runnable or self.progress.empty:
            self._runnable_since = None
            return None
        if self._free_at(now) > now:
            self._runnable_since = None
            return None
        since = self._runnable_since = now if self._runnable_since is None else self._runnable_since
        listened = self.say.pace == "realtime" and self._flow.sent > 0
        dry_at = now + self._flow.ahead_s(now) if listened else None
        return Candidate(self.slot, self.say.klass, since, dry_at, first=not self._flow.sent)

    def due_at(self, now: float) -> float:
        """When it wants the engine's attention if nothing happens until then."""
        if self._deltas or (self._ended and not self._text_closed):
            return now
        if self._pcm.size:
            return min(self._flow.free_at(self._next_chunk(), now), self._gives_up_at())
        if self.progress.end or self.progress.empty:
            return now
        if self.progress.starving:
            return self._text_at + self._limits.starvation_timeout_s
        return min(self._free_at(now), self._gives_up_at())

    def tend(self, now: float) -> None:
        """What is to be done without the model: send what waited, end, give up."""
        if self.over:
            return
        self._was_starving |= self.progress.starving
        if self.progress.empty and not self._made:
            self._pcm = np.zeros(int(_SILENCE_S * self._limits.rate_hz), np.int16)
            self._made = self._pcm.size
        self._send(now)
        if not self._pcm.size and (self.progress.end or self.progress.empty):
            self._close()
        elif now >= self._gives_up_at():
            self.fail("timed_out", f"the reader gave no credit for {_READER_STALL_S:g} s")
        elif self.progress.starving and now >= self._text_at + self._limits.starvation_timeout_s:
            self.fail("timed_out", f"no text came for {self._limits.starvation_timeout_s:g} s")

    def advance(self, work: Work, samples: Samples | None, ended: bool, now: float) -> None:
        """A step made this of it."""
        self.progress.advance(work, ended=ended)
        self._runnable_since = None
        if samples is not None:
            self._pcm = (np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)
            self._made += self._pcm.size
            self._silent = 0 if np.abs(samples).max() > _SILENCE_PEAK else self._silent + 1
            self.progress.stop_if_silent(self._silent)
            self._tell(self._words.passed(self._made / self._limits.rate_hz))
            self._note_dryness(now)
        self.tend(now)

    def _add(self, words: list[SpokenWord]) -> None:
        for word in words:
            self._words.add(word.text, word.start, word.end, self._ids)
            ids = self._tokenizer.feed(f" {word.text}" if self._any_word else word.text)
            self._any_word = True
            self._take(ids + self._tokenizer.close_word())

    def _take(self, ids: list[int]) -> None:
        self._ids += len(ids)
        self.progress.add(ids)

    def _tell(self, words: tuple[Word, ...]) -> None:
        if words:
            with self._changed:
                if not self.over:
                    self._emit(Words(self.say.id, words))

    def _note_dryness(self, now: float) -> None:
        if self._flow.sent and self.say.pace == "realtime" and self._flow.ahead_s(now) <= 0:
            if self._was_starving:
                self.starved += 1
            else:
                self.underruns += 1
        self._was_starving = False

    def _free_at(self, now: float) -> float:
        """When a whole latent's sound may be sent, or as much of it as the reader takes."""
        latent = self._limits.samples_per_latent
        return self._flow.free_at(min(latent, self._flow.credit_left or latent), now)

    def _next_chunk(self) -> int:
        return min(self._pcm.size, self._flow.credit_left or self._pcm.size)

    def _send(self, now: float) -> None:
        with self._changed:
            while self._pcm.size and not self.over and self._flow.free_at(self._next_chunk(), now) <= now:
                count = self._next_chunk()
                if self._ttfa_s is None and self._first_text_at is not None:
                    self._ttfa_s = now - self._first_text_at
                chunk, self._pcm = self._pcm[:count], self._pcm[count:]
                audio = Audio(self.say.id, self._flow.sent, chunk.astype("<i2").tobytes())
                self._flow.send(count, now)
                self._emit(audio)
            blocked = self._flow.credit_left == 0 and not self.over
            self._blocked_at = (self._blocked_at or now) if blocked else None

    def _gives_up_at(self) -> float:
        return math.inf if self._blocked_at is None else self._blocked_at + _READER_STALL_S

    def _close(self) -> None:
        total = self._made / self._limits.rate_hz
        words = self._words.rest(total)
        if self._normaliser.covered < self._normaliser.characters:
            words += (Word("", total, total, self._normaliser.covered, self._normaliser.characters),)
            self._normaliser.cover_all()
        self._tell(words)
        with self._changed:
            if not self.over:
                self._finish("done", Done(self.say.id, self._flow.sent, False, self._stats()))

    def _stats(self) -> Stats:
        return Stats(self._flow.sent / self._limits.rate_hz, self._ttfa_s, self.compute_s, self._characters)

    @property
    def audio_s(self) -> float:
        return self._flow.sent / self._limits.rate_hz

    def _finish(self, outcome: Outcome, event: Done | Failed) -> None:
        self.over, self.over_at = True, self._clock()
        self._pcm = self._pcm[:0]
        self._on_over(self, outcome)
        self._emit(event)
