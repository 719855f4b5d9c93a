"""Verify on VibeVoice with random weights: all but the words. Noise has no end of its own and no words, yet its sound
must be whole: no clipping, no click where two frames join, no silence at its start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import numpy as np
import spoiled

from tts_plugin.engine.backend import Backend
from tts_plugin.engine.config import EngineConfig
from worker.bench.random_model import open_random
from worker.settings import Settings
from worker.verify.limits import Limits
from worker.verify.verify import run

PATIENT = Limits(ttfa_s_all=30.0, rtf_all=30.0)
ENDLESS = {"late end", "cut end", "speaking rate"}  # what must be wrong with a voice that never ends by itself


@pytest.fixture(scope="module")
def random_weights() -> Iterator[Backend]:
    backend = open_random("small", EngineConfig(device="cpu"), 1).backend
    yield backend
    backend.close()


def breaches(settings: Settings, tmp_path: Path, sentences: int) -> set[str]:
    """Which limits were broken."""
    path = tmp_path / "report.json"
    run(settings, sentences=sentences, wer=False, out=tmp_path, json_path=path, limits=PATIENT)
    (voice,) = json.loads(path.read_text(encoding="utf-8"))["voices"]
    return {re.sub(r"^[^:]*: ([^:]*):.*", r"\1", breach) for breach in voice["breaches"]}


@pytest.mark.system
@pytest.mark.timeout(180)
def test_noise_breaks_no_limit_but_those_of_an_end(
    random_weights: Backend, serve: Callable[[Backend], AbstractContextManager[Settings]], tmp_path: Path
) -> None:
    with serve(random_weights) as settings:
        broken = breaches(settings, tmp_path, 4)
        assert {"late end", "speaking rate"} <= broken <= ENDLESS  # noise that is faded out may end softly


@pytest.mark.timeout(120)
def test_a_step_between_two_frames_of_noise_is_found(
    random_weights: Backend, serve: Callable[[Backend], AbstractContextManager[Settings]], tmp_path: Path
) -> None:
    def step(start: int, pcm: spoiled.Pcm) -> spoiled.Pcm:
        loudest = 6.0 * np.abs(np.diff(pcm.astype(np.int32), 2)).max()
        return np.clip(pcm + loudest * np.exp(-np.arange(len(pcm)) / 600), -32_768, 32_767).astype(np.int16)

    with serve(spoiled.SpoiledBackend(random_weights, step)) as settings:
        assert "click at a chunk border" in breaches(settings, tmp_path, 1)
