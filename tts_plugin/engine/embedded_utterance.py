"""One utterance of the embedded voice: from deltas to pieces to sound, and when it next needs a thread.

`advance` runs in the one thread that claimed it. Knows no thread and no model: the voice and the time are handed in.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from tts_plugin.engine.backend import Emit
from tts_plugin.engine.clauses import Clauses, Ending, Piece
from tts_plugin.engine.hibari_voice import SAMPLE_RATE_HZ, HibariVoice
from tts_plugin.engine.playback import Limits, Outcome, Playback
from tts_plugin.protocol import Say, Word

_FIRST_CHUNK_SAMPLES = 1_200  # 50 ms
_CHUNK_SAMPLES = 4_800  # 200 ms
_PAUSE_SAMPLES: dict[Ending, int] = {"sentence": 4_200, "clause": 600, "cut": 0}  # beyond what trimming leaves
_TEXT_PAUSE_S = 0.4  # no delta for so long: the writer is thinking, say what is there
_RUNNING_DRY_S = 0.2  # of audio left at the listener: time to make the next piece
_FEWEST_WORDS = 3  # that are worth a piece while text still flows


class EmbeddedUtterance(Playback):
    """`told_over` is called once, under the lock, as soon as the slot is free."""

    def __init__(
        self,
        say: Say,
        voice_id: str,
        language: str,
        emit: Emit,
        limits: Limits,
        changed: threading.Condition,
        clock: Callable[[], float],
        told_over: Callable[[EmbeddedUtterance, Outcome], None],
    ) -> None:
        super().__init__(say, voice_id, language, emit, limits, changed, clock)
        self.claimed = False
        self._told_over = told_over
        self._clauses = Clauses()
        self._pieces: deque[Piece] = deque()  # bounded by max_text_chars
        self._no_more_pieces = False
        self._last_ending: Ending | None = None
        self._rng = np.random.default_rng(say.seed)

    def due_at(self, now: float) -> float:
        """When a thread should look at it. Called under the lock, while no thread has it."""
        if self._wants_text:
            return now
        if self._pcm.size:
            return min(self._flow.free_at(self._next_chunk(), now), self._gives_up_at())
        if self._pieces or self._no_more_pieces:
            return now
        return min(self._take_now_at(now), self._starves_at())

    def advance(self, voice: HibariVoice) -> None:
        """Take in text, send what may be sent, make the next piece."""
        self._take_in()
        self._send(self._clock())
        if self.over:
            return
        if self._pcm.size:
            if self._clock() >= self._gives_up_at():
                self._give_up()
        elif self._pieces:
            self._speak(voice, self._pieces.popleft())
        elif self._no_more_pieces:
            self._close()
        elif self._clock() >= self._starves_at():
            self._starve()

    @property
    def _wants_text(self) -> bool:
        """There is text that was not seen, and nothing else to do first."""
        unseen = bool(self._deltas) or (self._ended and not self._no_more_pieces)
        return unseen and not self._pieces and not self._pcm.size

    def _take_in(self) -> None:
        came = False
        while self._wants_text:
            came = True
            with self._changed:
                delta = self._deltas.popleft() if self._deltas else None
            if delta is not None:
                self._pieces += self._clauses.feed(self._normaliser.feed(delta))
            else:
                self._pieces += self._clauses.feed(self._normaliser.end())
                self._pieces += self._clauses.end()
                self._no_more_pieces = True
        if not came and not self._pieces and not self._pcm.size:
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
        self.compute_s += self._clock() - started
        pause = _PAUSE_SAMPLES[self._last_ending] if self._last_ending else 0
        self._last_ending = piece.ending
        offset = self._flow.sent + pause
        times = [(offset + edge) / SAMPLE_RATE_HZ for edge in spoken.word_edges]
        self._tell(
            tuple(Word(word.text, times[n], times[n + 1], word.start, word.end) for n, word in enumerate(piece.words))
        )
        now = self._clock()
        with self._changed:
            if self.over:
                return
            self.underruns += self._runs_dry(now)
            self._pcm = np.concatenate([np.zeros(pause, np.int16), spoken.pcm]) if pause else spoken.pcm
            self._send(now)

    def _close(self) -> None:
        self._tell(self._rest_of_text(self.audio_s))
        with self._changed:
            if self.over:
                return
            if not self._flow.sent:
                self._pcm = self._silence()
                self._send(self._clock())
            if not self._pcm.size:
                self._finish_done()

    def _on_over(self, outcome: Outcome) -> None:
        self._told_over(self, outcome)

    def _largest_chunk(self) -> int:
        return _CHUNK_SAMPLES if self._flow.sent else _FIRST_CHUNK_SAMPLES
