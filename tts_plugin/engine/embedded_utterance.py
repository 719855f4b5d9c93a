"""One utterance of the embedded voice: from deltas to events, and when it next needs a thread.

Its public methods come from any thread and share the back-end's lock; `advance` runs in the one thread that claimed it.
Knows no thread and no model: the voice and the time are handed in.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.backend import Emit
from tts_plugin.engine.clauses import Clauses, Ending, Piece
from tts_plugin.engine.flow import Flow
from tts_plugin.engine.hibari_voice import SAMPLE_RATE_HZ, HibariVoice
from tts_plugin.protocol import Audio, Done, Failed, FailureCode, Say, Started, Stats, Word, Words
from tts_plugin.text import Normaliser

Outcome = Literal["done", "cancelled", "failed"]

_FIRST_CHUNK_SAMPLES = 1_200  # 50 ms
_CHUNK_SAMPLES = 4_800  # 200 ms
_SILENCE_SAMPLES = 2_400  # 100 ms: what a text without anything to say sounds like
_PAUSE_SAMPLES: dict[Ending, int] = {"sentence": 4_200, "clause": 600, "cut": 0}  # beyond what trimming leaves
_TEXT_PAUSE_S = 0.4  # no delta for so long: the writer is thinking, say what is there
_RUNNING_DRY_S = 0.2  # of audio left at the listener: time to make the next piece
_FEWEST_WORDS = 3  # that are worth a piece while text still flows
_READER_STALL_S = 60.0


@dataclass(frozen=True, slots=True)
class UtteranceLimits:
    window_samples: int
    ahead_samples: int
    max_text_chars: int
    starvation_timeout_s: float


class EmbeddedUtterance:
    """`on_over` is called once, under the lock, as soon as the slot is free."""

    def __init__(
        self,
        say: Say,
        voice_id: str,
        language: str,
        emit: Emit,
        limits: UtteranceLimits,
        changed: threading.Condition,
        clock: Callable[[], float],
        on_over: Callable[[EmbeddedUtterance, Outcome], None],
    ) -> None:
        self.say = say
        self.claimed = False
        self.over = False
        self.stats = Stats()
        self.underruns = 0
        self._emit = emit
        self._limits = limits
        self._changed = changed
        self._clock = clock
        self._on_over = on_over
        window = limits.window_samples
        self._flow = Flow(
            SAMPLE_RATE_HZ,
            window if say.credit_samples is None else max(0, min(window, say.credit_samples)),
            limits.ahead_samples if say.pace == "realtime" else None,
        )
        self._deltas: list[str] = []  # bounded by max_text_chars
        self._characters = 0
        self._ended = False
        self._text_at = clock()
        self._first_text_at: float | None = None
        self._ttfa_s: float | None = None
        self._compute_s = 0.0
        self._normaliser = Normaliser(language)
        self._clauses = Clauses()
        self._pieces: deque[Piece] = deque()  # bounded by max_text_chars
        self._no_more_pieces = False
        self._last_ending: Ending | None = None
        self._rng = np.random.default_rng(say.seed)
        self._pcm: NDArray[np.int16] = np.zeros(0, np.int16)  # made, not yet sent: one piece at most
        self._words: Words | None = None  # of that piece
        self._blocked_at: float | None = None
        emit(Started(say.id, SAMPLE_RATE_HZ, voice_id))

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
            if self._first_text_at is None:
                self._first_text_at = self._text_at
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def cancel(self) -> None:
        with self._changed:
            if not self.over:
                self._finish("cancelled", Done(self.say.id, self._flow.sent, True, self._final_stats()))

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
            if not self.over:
                self._finish("failed", Failed(self.say.id, code, message, retryable, self._flow.sent))

    def ahead_s(self, now: float) -> float:
        """Seconds of audio that its listener still has."""
        return self._flow.ahead_s(now)

    def due_at(self, now: float) -> float:
        """When a thread should look at it. Called under the lock, while no thread has it."""
        if self._deltas or (self._ended and not self._no_more_pieces):
            return now
        if self._pcm.size:
            return min(self._flow.free_at(self._next_chunk(), now), self._gives_up_at(now))
        if self._pieces or self._no_more_pieces:
            return now
        return min(self._take_now_at(now), self._text_at + self._limits.starvation_timeout_s)

    def advance(self, voice: HibariVoice) -> None:
        """Take in text, send what may be sent, make the next piece."""
        self._take_in()
        with self._changed:
            self._send()
            if self.over or self._pcm.size:
                self._give_up_late()
                return
        if self._pieces:
            self._speak(voice, self._pieces.popleft())
        elif self._no_more_pieces:
            self._close()
        else:
            self._starve_late()

    def _take_in(self) -> None:
        with self._changed:
            deltas, self._deltas = self._deltas, []
            ended = self._ended
        for delta in deltas:
            self._pieces += self._clauses.feed(self._normaliser.feed(delta))
        if ended and not self._no_more_pieces:
            self._pieces += self._clauses.feed(self._normaliser.end())
            self._pieces += self._clauses.end()
            self._no_more_pieces = True
        elif not deltas and not self._pieces and not self._pcm.size:
            self._take_what_is_there()

    def _take_what_is_there(self) -> None:
        now = self._clock()
        if self._take_now_at(now) > now:
            return
        if now >= self._text_at + _TEXT_PAUSE_S:
            self._pieces += self._clauses.feed(self._normaliser.take_sentence_end())
        if not self._pieces:
            self._pieces += self._clauses.take_now()

    def _take_now_at(self, now: float) -> float:
        """When to speak without waiting for the rest of a piece. Never with a seed: the cuts would depend on time."""
        if self.say.seed is not None or not (self._clauses.waiting or self._normaliser.at_sentence_end):
            return math.inf
        paused_at = self._text_at + _TEXT_PAUSE_S
        if not self._flow.sent:
            return paused_at
        dry_at = now + max(0.0, self._flow.ahead_s(now) - _RUNNING_DRY_S)
        return dry_at if self._clauses.waiting >= _FEWEST_WORDS else max(dry_at, paused_at)

    def _speak(self, voice: HibariVoice, piece: Piece) -> None:
        started = self._clock()
        spoken = voice.speak(piece, self._rng, at_once=self._last_ending in (None, "cut"))
        self._compute_s += self._clock() - started
        pause = _PAUSE_SAMPLES[self._last_ending] if self._last_ending else 0
        self._last_ending = piece.ending
        with self._changed:
            if self.over:
                return
            offset = self._flow.sent + pause
            times = [(offset + edge) / SAMPLE_RATE_HZ for edge in spoken.word_edges]
            self._words = Words(
                self.say.id,
                tuple(
                    Word(word.text, times[n], times[n + 1], word.start, word.end) for n, word in enumerate(piece.words)
                ),
            )
            self._pcm = np.concatenate([np.zeros(pause, np.int16), spoken.pcm]) if pause else spoken.pcm
            self._send()

    def _next_chunk(self) -> int:
        largest = _CHUNK_SAMPLES if self._flow.sent else _FIRST_CHUNK_SAMPLES
        return min(largest, self._pcm.size, self._flow.credit_left or self._pcm.size)

    def _send(self) -> None:
        now = self._clock()
        if self._words and not self.over:
            if self._flow.sent and self.say.pace == "realtime" and self._flow.ahead_s(now) <= 0:
                self.underruns += 1
            self._emit(self._words)
            self._words = None
        while self._pcm.size and not self.over and self._flow.free_at(self._next_chunk(), now) <= now:
            count = self._next_chunk()
            if self._ttfa_s is None and self._first_text_at is not None:
                self._ttfa_s = now - self._first_text_at
            chunk, self._pcm = self._pcm[:count], self._pcm[count:]
            audio = Audio(self.say.id, self._flow.sent, chunk.tobytes())
            self._flow.send(count, now)
            self._emit(audio)
        self._blocked_at = self._blocked_at or now if self._pcm.size and not self._flow.credit_left else None

    def _close(self) -> None:
        with self._changed:
            if self.over:
                return
            total = self._flow.sent / SAMPLE_RATE_HZ
            if not self._flow.sent:
                self._pcm = np.zeros(_SILENCE_SAMPLES, np.int16)
            if self._normaliser.covered < self._normaliser.characters:
                rest = Word("", total, total, self._normaliser.covered, self._normaliser.characters)
                self._emit(Words(self.say.id, (rest,)))
                self._normaliser.cover_all()
            if self._pcm.size:
                self._send()
            if not self._pcm.size:
                self._finish("done", Done(self.say.id, self._flow.sent, False, self._final_stats()))

    def _gives_up_at(self, now: float) -> float:
        return math.inf if self._blocked_at is None else self._blocked_at + _READER_STALL_S

    def _give_up_late(self) -> None:
        now = self._clock()
        if not self.over and now >= self._gives_up_at(now):
            self.fail("timed_out", f"the reader gave no credit for {_READER_STALL_S:g} s")

    def _starve_late(self) -> None:
        with self._changed:
            late = self._clock() >= self._text_at + self._limits.starvation_timeout_s
            if late and not self._deltas and not self._ended:
                self.fail("timed_out", f"no text came for {self._limits.starvation_timeout_s:g} s")

    def _final_stats(self) -> Stats:
        return Stats(self._flow.sent / SAMPLE_RATE_HZ, self._ttfa_s, self._compute_s, self._characters)

    def _finish(self, outcome: Outcome, event: Done | Failed) -> None:
        self.over = True
        self.stats = self._final_stats()
        self._pcm = self._pcm[:0]
        self._on_over(self, outcome)
        self._emit(event)
