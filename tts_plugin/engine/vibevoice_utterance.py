"""One utterance of VibeVoice: text to ids, samples to sound, when it wants a turn. How far it has come is in Progress.

`candidate`, `tend` and `advance` run in the engine's thread. Knows no model and no tensor: ids go to the engine as
work, samples come back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.backend import Emit
from tts_plugin.engine.loops import LoopEar
from tts_plugin.engine.playback import Limits, Outcome, Playback
from tts_plugin.engine.runner import Opening
from tts_plugin.engine.scheduler import Candidate
from tts_plugin.engine.short_text import FEW_WORDS, ShortText, other_seed
from tts_plugin.engine.sound import Sound
from tts_plugin.engine.timing import WordClock
from tts_plugin.engine.tokenizer import IncrementalTokenizer
from tts_plugin.engine.utterance import SPEECH_WINDOW, TEXT_WINDOW, Progress, Work
from tts_plugin.protocol import Say
from tts_plugin.text import SpokenWord

_SILENCE_PEAK = 0.003  # -50 dB: nobody hears it beside speech
_READ_AHEAD_IDS = 30  # 4.8 s of speech
_FADE_SAMPLES = 480  # 20 ms, where speech is cut


class VibeVoiceUtterance(Playback):
    """`told_over` is called once, under the lock, as soon as nothing more is said.

    When `begins_again`, the engine empties its slot and opens it with `opening` anew.
    """

    def __init__(
        self,
        say: Say,
        slot: int,
        opening: Opening,
        progress: Progress,
        tokenizer: IncrementalTokenizer,
        language: str,
        latent_samples: int,
        emit: Emit,
        limits: Limits,
        changed: threading.Condition,
        clock: Callable[[], float],
        told_over: Callable[[VibeVoiceUtterance, Outcome], None],
    ) -> None:
        super().__init__(say, opening.voice, language, emit, limits, changed, clock)
        self.slot, self.opening, self.progress = slot, opening, progress
        self.begins_again = False
        self.read_turn = 0  # when its text was last looked at
        self.starved = 0  # times the listener heard nothing because there was no text
        self.short_retries = 0
        self._tokenizer, self._latent_samples, self._told_over = tokenizer, latent_samples, told_over
        self._latent_s = latent_samples / limits.rate_hz
        self._words = WordClock(TEXT_WINDOW, SPEECH_WINDOW * self._latent_s)
        self._ear = LoopEar(opening.seed)
        self._short: ShortText | None = None  # while what is made is held back
        self._held: NDArray[np.int16] = self._pcm
        self._loud = False
        self._text_closed = False
        self._ids = 0  # that are certain
        self._word_count = self._letters = 0
        self._made = 0  # samples, sent or not
        self._silent = 0  # latents in a row
        self._runnable_since: float | None = None
        self._was_starving = False

    @property
    def has_text(self) -> bool:
        """There is text that `take_in` has not seen."""
        return bool(self._deltas) or (self._ended and not self._text_closed)

    @property
    def wants_text(self) -> bool:
        """It is time to read on: what lies far ahead may never be said."""
        return self.progress.unread < _READ_AHEAD_IDS and self.has_text

    def take_in(self) -> None:
        """A piece of the text that came: to words, to ids."""
        with self._changed:
            piece = self._deltas.popleft() if self._deltas else None
        if piece is not None:
            self._add(self._normaliser.feed(piece))
        elif self._ended and not self._text_closed:
            self._close_text()

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
        if self.wants_text:
            return now
        if self._pcm.size:
            return min(self._flow.free_at(self._next_chunk(), now), self._gives_up_at())
        if self.progress.end or self.progress.empty:
            return now
        if self.progress.starving:
            return self._starves_at()
        return min(self._free_at(now), self._gives_up_at())

    def tend(self, now: float) -> None:
        """What is to be done without the model: send what waited, end, give up."""
        if self.over:
            return
        starving = self.progress.starving and not self.has_text
        self._was_starving |= starving
        if self.progress.empty and not self._made:
            self._pcm = self._silence()
            self._made = self._pcm.size
        if self._pcm.size or self._blocked_at is not None or not self._flow.credit_left:
            self._send(now)
        if not self._pcm.size and (self.progress.end or self.progress.empty):
            self._close()
        elif now >= self._gives_up_at():
            self._give_up()
        elif starving and now >= self._starves_at():
            self._starve()

    def advance(self, work: Work, sound: Sound | None, ended: bool, now: float) -> None:
        """A step made this of it."""
        self.progress.advance(work, ended=ended)
        self._runnable_since = None
        if sound is not None:
            self._made += sound.pcm.size
            self._held = np.concatenate((self._held, sound.pcm)) if self._held.size else sound.pcm
            self._judge(sound)
        self._let_go(now)
        self.tend(now)

    def _judge(self, sound: Sound) -> None:
        """Guards against speech that went wrong: silence without an end, the same again and again."""
        loud = sound.peak > _SILENCE_PEAK
        self._loud |= loud
        self._silent = 0 if loud else self._silent + 1
        self.progress.stop_if_silent(self._silent)
        if self._ear.hears_loop(sound.motion):
            self.progress.stop_looping()

    def _let_go(self, now: float) -> None:
        """Of what is held back, when that is right: see short_text.py."""
        if self._short:
            verdict = self._short.judge(self.progress.latents, loud=self._loud, over=self.progress.end is not None)
            if verdict == "again":
                self._begin_again()
            if verdict != "speak":
                return
            self._short = None
        if self.progress.end in ("runaway", "loop"):
            self._fade_out()
        if self._held.size:
            self._pcm, self._held = self._held, self._held[:0]
            self._tell(self._words.passed(self._made / self._limits.rate_hz))
            self._note_dryness(now)

    def _begin_again(self) -> None:
        self.short_retries += 1
        self.opening = self.opening._replace(seed=other_seed(self.opening.seed))
        self.progress.restart()
        self._held, self._made, self._silent, self._loud = self._held[:0], 0, 0, False
        self.begins_again = True

    def _fade_out(self) -> None:
        """So that speech that is cut does not end in a click."""
        count = min(_FADE_SAMPLES, self._held.size)
        tail = self._held[self._held.size - count :] * np.linspace(1.0, 0.0, count)
        self._held = np.concatenate((self._held[: self._held.size - count], tail.astype(np.int16)))

    def _close_text(self) -> None:
        self._text_closed = True
        self._add(self._normaliser.end())
        if self._word_count:
            self._take(self._tokenizer.feed("\n") + self._tokenizer.end())
        self.progress.end_text()
        if 0 < self._word_count <= FEW_WORDS:
            short = ShortText(self._word_count, self._letters, self._latent_s)
            self.progress.tighten(short.most)
            if not self.progress.latents:
                self._short = short

    def _add(self, words: list[SpokenWord]) -> None:
        for word in words:
            self._words.add(word.text, word.start, word.end, self._ids)
            self._ear.read(word.text)
            ids = self._tokenizer.feed(f" {word.text}" if self._word_count else word.text)
            self._word_count += 1
            self._letters += len(word.text)
            self._take(ids + self._tokenizer.close_word())

    def _take(self, ids: list[int]) -> None:
        self._ids += len(ids)
        self.progress.add(ids)

    def _note_dryness(self, now: float) -> None:
        if self._runs_dry(now):
            if self._was_starving:
                self.starved += 1
            else:
                self.underruns += 1
        self._was_starving = False

    def _free_at(self, now: float) -> float:
        """When a whole latent's sound may be sent, or as much of it as the reader takes."""
        latent = self._latent_samples
        return self._flow.free_at(min(latent, self._flow.credit_left or latent), now)

    def _largest_chunk(self) -> int:
        return self._latent_samples

    def _close(self) -> None:
        if self.progress.end == "loop" and self.progress.text_left:
            self.fail("engine_error", "the speech went round in circles before its text was read", retryable=True)
            return
        total = self._made / self._limits.rate_hz
        self._tell(self._words.rest(total) + self._rest_of_text(total))
        self._finish_done()

    def _on_over(self, outcome: Outcome) -> None:
        self._held = self._held[:0]
        self._told_over(self, outcome)
