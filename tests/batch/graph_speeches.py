"""Utterances for the tests of captured shapes: a small model, mixed voices and ages, one that the model itself ends."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from batch_bench import Bench, Speech, sizes_for

from tts_plugin.engine.layout import Buckets
from tts_plugin.engine.model.dpm_solver import make_schedule
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.random_weights import SMALL, random_voice, random_weights
from tts_plugin.engine.runner import Opening
from tts_plugin.engine.torch_runner import TorchRunner

CONFIG = replace(SMALL, language=replace(SMALL.language, vocabulary=500, max_positions=400))
VOICES = {
    name: random_voice(CONFIG, *size, seed=n)
    for n, (name, size) in enumerate({"long": (74, 251), "short": (9, 20), "full": (64, 128)}.items())
}
BUCKETS = Buckets((1, 2, 4, 8), (3, 7))
SLOTS = 8
SCHEDULE = make_schedule("sde-dpmsolver++", 5)


@cache
def network() -> Network:
    return random_weights(CONFIG, seed=3, eos_bias=-1.0)


def make(slots: int = SLOTS, *, buckets: Buckets | None = None, one_wait: bool = False) -> TorchRunner:
    sizes = sizes_for(network(), VOICES, slots)
    return TorchRunner(network(), VOICES, SCHEDULE, sizes, buckets=buckets, one_wait=one_wait)


def speeches() -> list[Speech]:
    return [
        Speech(Opening("long", 1, 1.5), range(23), 400),  # the model ends it
        Speech(Opening("short", 3, 1.5), range(23), 400, starts=1),  # this one too
        Speech(Opening("full", 3, 3.0), range(100, 120), 160, starts=1, feeds=1),  # max length
        Speech(Opening("long", 4, 2.0), range(200, 260), 400, starts=2, stop_after=13),  # cancelled
        Speech(Opening("short", 5, 1.0), range(300, 500), 90, starts=3),  # max length
    ]


def said(runner: TorchRunner) -> list[Speech]:
    return Bench(runner, speeches(), cap=True).run().speeches  # type: ignore[return-value]


def off(ours: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, where the loudest sample is 1."""
    assert ours.shape == expected.shape
    return float(np.abs(ours - expected).max() / max(np.abs(expected).max(), 1e-30))
