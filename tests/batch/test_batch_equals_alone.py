"""A stream in a mixed batch is the stream alone, and both are what the plain reference says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import numpy as np
import torch
from batch_bench import Bench, Speech, make_runner

from tts_plugin.engine.model.dpm_solver import Schedule, make_schedule
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.random_weights import SMALL, random_voice, random_weights
from tts_plugin.engine.model.reference import Line, Spoken, speak
from tts_plugin.engine.model.voice import Voice
from tts_plugin.engine.noise import normal
from tts_plugin.engine.runner import Opening
from tts_plugin.engine.torch_runner import TorchRunner

TOLERANCE = 1e-4  # float32, of full scale: real audio ends at ±1, that of random weights at ±20 to ±80
CONFIG = replace(SMALL, language=replace(SMALL.language, vocabulary=500, max_positions=400))
VOICES = {"long": (74, 251), "short": (9, 20), "full pages": (64, 128)}  # base, TTS positions


@cache
def network() -> Network:
    return random_weights(CONFIG, seed=3, eos_bias=-1.15)


@cache
def voices() -> dict[str, Voice]:
    return {name: random_voice(CONFIG, *size, seed=n) for n, (name, size) in enumerate(VOICES.items())}


def eight() -> list[Speech]:
    """Mixed voices, guidance, ages, lengths and ways to get text; one is cancelled, one runs into max length."""
    dice = np.random.default_rng(5)

    def ids(count: int) -> list[int]:
        return [int(id) for id in dice.integers(0, 500, count)]

    return [
        Speech(Opening("long", 1, 1.5), ids(23), 300),
        Speech(Opening("short", 2, 1.0), ids(3), 400, starts=1),
        Speech(Opening("full pages", 3, 3.0), ids(20), 160, starts=1, feeds=1),
        Speech(Opening("long", 4, 2.0), ids(60), 400, starts=2, stop_after=13),  # cancelled
        Speech(Opening("short", 5, 1.5), ids(400), 90, starts=3),  # max length
        Speech(Opening("long", 6, 1.5), ids(11), 330, starts=4, feeds=2),
        Speech(Opening("full pages", 7, 1.3), ids(5), 170, starts=5),
        Speech(Opening("long", 8, 1.7), ids(31), 310, starts=6),
    ]


def runner_for(schedule: Schedule, slots: int) -> TorchRunner:
    return make_runner(network(), voices(), schedule, slots)


@pytest.fixture(scope="module", params=["dpmsolver++", "sde-dpmsolver++"])
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return make_schedule(request.param, 5)


@pytest.fixture(scope="module")
def together(schedule: Schedule) -> Bench:
    return Bench(runner_for(schedule, 8), eight(), cap=True).run()


@pytest.mark.parametrize("index", range(8))
def test_a_stream_in_a_mixed_batch_equals_itself_alone(schedule: Schedule, together: Bench, index: int) -> None:
    alone, mixed = eight()[index], together.speeches[index]
    Bench(runner_for(schedule, 1), [alone], cap=True).run()
    assert mixed.works == alone.works  # the same control flow
    assert (mixed.progress.end, mixed.progress.length) == (alone.progress.end, alone.progress.length)
    assert off(mixed.audio, alone.audio) <= TOLERANCE


def test_the_batch_is_as_mixed_as_it_says(together: Bench) -> None:
    assert any(
        any(row.work.text for row in batch) and any(not row.work.text for row in batch) and len(batch) >= 6
        for batch in together.batches
    )
    assert max(len(batch) for batch in together.batches) == 8
    ends = [speech.progress.end for speech in together.speeches]
    assert together.speeches[3].cancelled
    assert ends[4] == "max_length"
    assert len({len(speech.latents) for speech in together.speeches}) > 4


@pytest.mark.parametrize("index", range(8))
def test_a_stream_in_a_mixed_batch_equals_the_plain_reference(schedule: Schedule, together: Bench, index: int) -> None:
    mixed = together.speeches[index]
    stopped = mixed.cancelled or mixed.progress.end == "runaway"
    plain = spoken(mixed, schedule, windows=-(-len(mixed.latents) // 6) if stopped else None)
    audio = torch.cat(plain.audio[: len(mixed.latents)]).numpy()
    assert off(mixed.audio, audio) <= TOLERANCE
    if mixed.progress.end == "eos":
        assert plain.eos_latent == len(mixed.latents) - 1
    elif mixed.progress.end == "max_length":
        assert plain.reached_max
    else:
        assert plain.eos_latent is None or plain.eos_latent >= len(mixed.latents)


def off(ours: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, where the loudest sample is 1."""
    assert ours.shape == expected.shape
    return float(np.abs(ours - expected).max() / np.abs(expected).max())


def spoken(speech: Speech, schedule: Schedule, windows: int | None) -> Spoken:
    class Numbers:
        def start(self, index: int) -> torch.Tensor:
            return self.of(index)[0]

        def steps(self, index: int) -> torch.Tensor | None:
            return self.of(index)[1:] if schedule.needs_noise else None

        def of(self, index: int) -> torch.Tensor:
            return torch.from_numpy(normal([speech.opening.seed], [index], 1 + len(schedule.steps), CONFIG.latent)[0])

    voice = voices()[speech.opening.voice]
    line = Line(speech.ids, speech.opening.cfg_scale, speech.max_length - voice.tts.positions, windows)
    return speak(network(), voice, line, schedule, Numbers())


def test_a_slot_that_is_used_again_remembers_nothing(schedule: Schedule) -> None:
    runner = runner_for(schedule, 1)
    Bench(runner, [eight()[0]], cap=True).run()
    again, fresh = eight()[1], eight()[1]
    Bench(runner, [again], cap=True).run()
    Bench(runner_for(schedule, 1), [fresh], cap=True).run()
    assert np.array_equal(again.audio, fresh.audio)


def test_all_pages_come_back_and_nothing_is_allocated(schedule: Schedule) -> None:
    runner = runner_for(schedule, 8)
    free, memory = (runner._base.pool.free, runner._tts.pool.free), runner._tts.keys.data_ptr()
    for _ in range(2):
        Bench(runner, eight(), cap=True).run()
        assert (runner._base.pool.free, runner._tts.pool.free) == free
        assert runner.free_pages == runner._tts.pool.unpromised == free[1]
    assert runner._tts.keys.data_ptr() == memory


def test_a_voice_is_stored_once_whoever_speaks_with_it(schedule: Schedule) -> None:
    runner = runner_for(schedule, 3)
    for slot in range(3):
        runner.reserve(slot)
        runner.open(slot, Opening("long", slot, 1.5))
    tracks = [runner._seats[slot].tts for slot in range(3)]
    assert [track.pages[:3] for track in tracks] == [tracks[0].pages[:3]] * 3  # 251 positions: 3 full pages
    assert len({track.pages[3] for track in tracks}) == 3  # the partial one is copied
    assert [len(track.own) for track in tracks] == [1, 1, 1]
