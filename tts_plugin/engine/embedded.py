"""The embedded voice as a back-end: needs no key, no GPU and no download. Several utterances at a time, in two threads.

Each thread takes the most urgent utterance that has something to do, for one piece: calls before interactive before
files, then the one whose listener runs dry first, then in turn. Knows no socket; who may speak is decided in `admit`.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable

from tts_plugin import voices
from tts_plugin.engine.backend import Emit, Refused, Statistics, Voice
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.delays import Delays
from tts_plugin.engine.embedded_utterance import EmbeddedUtterance
from tts_plugin.engine.hibari_voice import SAMPLE_RATE_HZ, HibariVoice
from tts_plugin.engine.language import spoken_language
from tts_plugin.engine.playback import Limits, Outcome
from tts_plugin.protocol import Say, UtteranceClass
from tts_plugin.text import LANGUAGES, prepare

logger = logging.getLogger(__name__)

WINDOW_S = 30.0  # of audio that a reader may leave untaken
_WORKERS = 2
_MIN_SLOTS = 8
_SLOTS_PER_CORE = 8  # a core makes 45 to 130 times as much speech as one listener hears
_RETRY_AFTER_S = 1.0
_LONGEST_WAIT_S = 0.5
_RANK: dict[UtteranceClass, int] = {"call": 0, "interactive": 1, "file": 2}


class EmbeddedBackend:
    """`slots` utterances at once, of which files leave a quarter free."""

    name = "embedded"
    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self,
        voice: HibariVoice,
        config: EngineConfig,
        *,
        workers: int = _WORKERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = config.max_batch_size or max(_MIN_SLOTS, _SLOTS_PER_CORE * (os.cpu_count() or 1))
        self._reserve = max(1, self.slots // 4) if self.slots > 1 else 0
        prepare(LANGUAGES[0])
        self._voice = voice
        self._config = config
        self._limits = Limits(
            rate_hz=SAMPLE_RATE_HZ,
            window_samples=int(WINDOW_S * SAMPLE_RATE_HZ),
            ahead_samples=int(config.ahead_s * SAMPLE_RATE_HZ),
            max_text_chars=config.max_text_chars,
            starvation_timeout_s=config.starvation_timeout_s,
        )
        self._clock = clock
        self._changed = threading.Condition()  # re-entrant: events are emitted under it
        self._active: list[EmbeddedUtterance] = []  # bounded by slots; the longest unserved first
        self._closed = False
        self._counts: Counter[str] = Counter()
        self._audio_s = 0.0
        self._compute_s = 0.0
        self._cancels = Delays()
        self._stepped_at = clock()
        self._claimed_at: dict[EmbeddedUtterance, float] = {}  # since when a thread has it
        self._threads = [
            threading.Thread(target=self._work, name=f"embedded-voice-{n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def voices(self) -> tuple[Voice, ...]:
        return voices.EMBEDDED

    def admit(self, say: Say, emit: Emit) -> EmbeddedUtterance:
        """Raises Refused at once: unknown_voice, bad_message (language), at_capacity or draining."""
        voice = voices.find(self._config.default_voice if say.voice == voices.DEFAULT_VOICE else say.voice, self.voices)
        language = spoken_language(say.language, voice)
        with self._changed:
            self._refuse_when_full(say)
            self._counts["admitted"] += 1
            utterance = EmbeddedUtterance(
                say, voice.id, language, emit, self._limits, self._changed, self._clock, self._on_over
            )
            self._active.append(utterance)
            return utterance

    def statistics(self) -> Statistics:
        with self._changed:
            return Statistics(
                backend=self.name,
                device="cpu",
                dtype="float32",
                slots=self.slots,
                active=len(self._active),
                admitted_total=self._counts["admitted"],
                refused_total=self._counts["refused"],
                cancelled_total=self._counts["cancelled"],
                failed_total=self._counts["failed"],
                audio_s_total=self._audio_s,
                compute_s_total=self._compute_s,
                model_load_s=self._voice.load_s,
                last_step_age_s=max(0.0, self._clock() - min((self._stepped_at, *self._claimed_at.values()))),
                running=all(thread.is_alive() for thread in self._threads),
                underruns_total=self._counts["underruns"],
                cancel_to_free=self._cancels.counts,
            )

    def close(self) -> None:
        """End everything that is being said, and the threads."""
        with self._changed:
            self._closed = True
            for utterance in tuple(self._active):
                utterance.fail("draining", "the engine is stopping", retryable=True)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _refuse_when_full(self, say: Say) -> None:
        room = self.slots - (self._reserve if say.klass == "file" else 0)
        if not self._closed and len(self._active) < room:
            return
        self._counts["refused"] += 1
        if self._closed:
            raise Refused("draining", "the engine is stopping", retryable=True)
        message = f"{len(self._active)} of {room} slots for class {say.klass} are taken"
        raise Refused("at_capacity", message, retryable=True, retry_after_s=_RETRY_AFTER_S)

    def _on_over(self, utterance: EmbeddedUtterance, outcome: Outcome) -> None:
        self._active.remove(utterance)
        self._counts[outcome] += 1
        self._counts["underruns"] += utterance.underruns
        self._audio_s += utterance.audio_s
        self._compute_s += utterance.compute_s
        if outcome == "cancelled" and not utterance.claimed:
            self._cancels.add(0.0)

    def _work(self) -> None:
        while (utterance := self._claim()) is not None:
            try:
                utterance.advance(self._voice)
            except Exception:
                logger.exception("utterance %s failed", utterance.say.id)
                utterance.fail("engine_error", "the embedded voice failed; the engine's log says how", retryable=True)
            with self._changed:
                utterance.claimed = False
                del self._claimed_at[utterance]
                if utterance.cancelled:  # its slot was free at once, but only now is this thread
                    self._cancels.add(self._clock() - utterance.over_at)
                self._changed.notify()
            del utterance  # and with it the client's connection, while this thread waits for the next

    def _claim(self) -> EmbeddedUtterance | None:
        """Wait for the most urgent utterance that has something to do; None when closed."""
        with self._changed:
            while not self._closed:
                now = self._stepped_at = self._clock()
                due = [(u.due_at(now), u) for u in self._active if not u.claimed]
                ready = [u for at, u in due if at <= now]
                if ready:
                    chosen = min(ready, key=lambda u: (_RANK[u.say.klass], u.ahead_s(now)))
                    chosen.claimed = True
                    self._claimed_at[chosen] = now
                    self._active.remove(chosen)
                    self._active.append(chosen)
                    return chosen
                wait = min((at for at, _ in due), default=math.inf) - now
                self._changed.wait(min(wait, _LONGEST_WAIT_S))
            return None
