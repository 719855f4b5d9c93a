"""The recorded runs of the reference once more, through the batched engine: alone, and among others."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import numpy as np
from batch_bench import Bench, Speech, make_runner, recorded
from golden_cases import AUDIO_TOLERANCE, Case, find_cases, golden_folder

from tts_plugin.engine.runner import Opening
from tts_plugin.engine.utterance import SPEECH_WINDOW

CASES = find_cases("float32")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)


def speech_of(case: Case, starts: int = 0) -> Speech:
    line, longest = case.line, case.network.config.language.max_positions
    if line.max_new_positions is not None:
        longest = min(longest, case.voice.tts.positions + line.max_new_positions)
    windows = line.stop_after_windows
    stop = None if windows is None else windows * SPEECH_WINDOW
    opening = Opening("voice", 0, line.cfg_scale, recorded(case.start, case.steps))
    return Speech(opening, line.text_ids, longest, starts, stop_after=stop)


def other(case: Case, seed: int, starts: int) -> Speech:
    """Somebody else in the batch, with another voice length, guidance and noise."""
    longest = min(case.network.config.language.max_positions, case.voice.tts.positions + 60)
    return Speech(Opening("voice", seed, 1.0 + seed), [5 + seed] * (3 * seed + 1), longest, starts)


def check(case: Case, said: Speech) -> None:
    expected, progress = case.inputs, said.progress
    assert progress is not None
    assert len(said.latents) == expected["frames_emitted"]
    assert progress.latents == expected["frames_emitted"]  # nothing is made after the end
    assert (progress.end == "eos") == (expected.get("eos_frame") is not None)
    assert (progress.end == "max_length") == expected["reach_max"]
    if progress.end == "eos":
        assert progress.latents - 1 == expected["eos_frame"]
    wasted = expected["frames_computed"] - expected["frames_emitted"]  # by the reference, after the end
    assert progress.length + wasted == expected["final_sequence_length"]
    difference = np.abs(said.audio - case.recorded["audio_emitted"].flatten().numpy()).max()
    assert difference <= AUDIO_TOLERANCE


def test_golden_folder_holds_cases_for_the_batch() -> None:
    assert CASES, f"no case in {golden_folder()}"


@each_case
def test_golden_case_through_the_batched_engine_alone(case: Case) -> None:
    said = speech_of(case)
    Bench(make_runner(case.network, {"voice": case.voice}, case.schedule, 1), [said]).run()
    check(case, said)


@each_case
def test_golden_case_in_a_batch_of_others(case: Case) -> None:
    said = speech_of(case, starts=2)
    others = [other(case, 1, 0), other(case, 2, 1), other(case, 3, 4)]
    runner = make_runner(case.network, {"voice": case.voice}, case.schedule, 4)
    Bench(runner, [others[0], said, *others[1:]]).run()
    check(case, said)


@each_case
def test_golden_case_with_text_that_comes_id_by_id(case: Case) -> None:
    said = speech_of(case)
    said.feeds = 1
    Bench(make_runner(case.network, {"voice": case.voice}, case.schedule, 1), [said]).run()
    check(case, said)
