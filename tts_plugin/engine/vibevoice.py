"""VibeVoice as a back-end: many utterances in one batch, each as it would be alone. Opened by `open_vibevoice`.

Knows no socket. What can be said at once is decided in `admit`; everything after that is the engine's.
"""

from __future__ import annotations

import secrets
import time
from typing import Literal

from tts_plugin import voices
from tts_plugin.engine.backend import Emit, Refused, Statistics, Voice
from tts_plugin.engine.capacity import Capacity
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.engine import Engine
from tts_plugin.engine.language import spoken_language
from tts_plugin.engine.pages import OutOfPages
from tts_plugin.engine.playback import Limits
from tts_plugin.engine.runner import Noise, Opening, Runner
from tts_plugin.engine.tokenizer import Encode, IncrementalTokenizer
from tts_plugin.engine.utterance import Progress
from tts_plugin.engine.vibevoice_utterance import VibeVoiceUtterance
from tts_plugin.protocol import Say
from tts_plugin.text import LANGUAGES, prepare

WINDOW_S = 30.0  # of audio that a reader may leave untaken
_RETRY_AFTER_S = 1.0


class VibeVoiceBackend:
    """`rows` run in one step at most; `capacity` says how many are admitted; `load_s` is told to whoever asks."""

    name = "vibevoice"

    def __init__(
        self,
        runner: Runner,
        encode: Encode,
        config: EngineConfig,
        *,
        rows: int,
        capacity: Capacity | None = None,
        load_s: float = 0.0,
    ) -> None:
        self.sample_rate_hz = rate = runner.sample_rate_hz
        self.voices: tuple[Voice, ...] = voices.vibevoice(runner.voices)
        self._runner, self._encode, self._config, self._load_s = runner, encode, config, load_s
        for language in {voice.language for voice in self.voices} & set(LANGUAGES):
            prepare(language)
        self._limits = Limits(
            rate_hz=rate,
            window_samples=int(WINDOW_S * rate),
            ahead_samples=int(config.lead_s * rate),
            max_text_chars=config.max_text_chars,
            starvation_timeout_s=config.starvation_timeout_s,
        )
        self._engine = Engine(runner, rows, capacity=capacity)
        self._engine.start()

    def admit(self, say: Say, emit: Emit, *, noise: Noise | None = None) -> VibeVoiceUtterance:
        """Raises Refused at once: unknown_voice, bad_message (language), at_capacity or draining.

        `noise` is for tests: instead of the seed's.
        """
        asked = self._config.default_voice if say.voice == voices.DEFAULT_VOICE else say.voice
        voice = voices.find(asked, self.voices)
        language = spoken_language(say.language, voice)
        seed = secrets.randbits(64) if say.seed is None else say.seed
        opening = Opening(voice.id, seed, self._config.cfg_scale, noise)
        with self._engine.lock:
            self._refuse_when_full(say)
            try:
                return self._engine.admit(lambda slot: self._make(say, slot, opening, language, emit))
            except OutOfPages as error:
                raise self._refusal("at_capacity", f"no memory for another utterance: {error}") from None

    def statistics(self) -> Statistics:
        engine = self._engine
        with engine.lock:
            return Statistics(
                backend=self.name,
                device=self._runner.device,
                dtype=self._runner.dtype,
                mode=self._runner.mode,
                slots=engine.slots.total,
                active=engine.active,
                admitted_total=engine.counts["admitted"],
                refused_total=engine.counts["refused"],
                cancelled_total=engine.counts["cancelled"],
                failed_total=engine.counts["failed"],
                audio_s_total=engine.audio_s,
                compute_s_total=engine.compute_s,
                model_load_s=self._load_s,
                last_step_age_s=max(0.0, time.monotonic() - engine.stepped_at),
                underruns_total=engine.counts["underruns"],
                starved_total=engine.counts["starved"],
                runaway_total=engine.counts["runaway"],
                silence_total=engine.counts["silence"],
                loop_total=engine.counts["loop"],
                short_retries_total=engine.counts["short_retries"],
                pages=self._runner.total_pages,
                pages_free=self._runner.free_pages,
                release_s_total=engine.release_s,
                cancel_to_free=engine.cancels.counts,
                headroom=engine.headroom,
                real_time=engine.capacity is None or engine.capacity.real_time,
                running=engine.running,
                fatal=engine.fatal,
            )

    def close(self) -> None:
        self._engine.close()

    def _make(self, say: Say, slot: int, opening: Opening, language: str, emit: Emit) -> VibeVoiceUtterance:
        engine = self._engine
        return VibeVoiceUtterance(
            say,
            slot,
            opening,
            Progress(self._runner.prompt_positions(opening.voice), self._runner.max_positions),
            IncrementalTokenizer(self._encode),
            language,
            self._runner.samples_per_latent,
            emit,
            self._limits,
            engine.lock,
            time.monotonic,
            engine.on_over,
        )

    def _refuse_when_full(self, say: Say) -> None:
        engine = self._engine
        if engine.has_room(say.klass):
            return
        if engine.stopping:
            raise self._refusal("draining", "the engine is stopping")
        room = engine.slots.room_for(say.klass)
        raise self._refusal("at_capacity", f"{engine.active} of {room} slots for class {say.klass} are taken")

    def _refusal(self, code: Literal["draining", "at_capacity"], message: str) -> Refused:
        self._engine.counts["refused"] += 1
        return Refused(code, message, retryable=True, retry_after_s=None if code == "draining" else _RETRY_AFTER_S)
