"""From text ids, voice and noise alone: everything the reference computed, and when it stopped."""

from __future__ import annotations

from functools import cache

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

import torch
from golden_cases import AUDIO_TOLERANCE, HIDDEN_TOLERANCE, Case, difference, find_cases, golden_folder
from torch import Tensor

from tts_plugin.engine.model.reference import Spoken, speak

CASES = find_cases("float32")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)


@cache
def spoken(path: str) -> Spoken:
    case = next(case for case in CASES if str(case.path) == path)
    return speak(case.network, case.voice, case.line, case.schedule, case)


def of(case: Case) -> Spoken:
    return spoken(str(case.path))


def stacked(tensors: list[Tensor]) -> Tensor:
    return torch.stack(tensors)


def test_golden_folder_holds_cases() -> None:
    assert CASES, f"no case in {golden_folder()}"


@each_case
def test_golden_control_flow_is_identical(case: Case) -> None:
    said, expected = of(case), case.inputs
    assert len(said.latents) == expected["frames_computed"]
    assert said.emitted == expected["frames_emitted"]
    assert said.final_length == expected["final_sequence_length"]
    assert said.reached_max == expected["reach_max"]
    assert said.eos_latent == expected.get("eos_frame")


@each_case
def test_golden_calls_come_in_the_same_order_at_the_same_positions(case: Case) -> None:
    recorded = [(call["op"], tuple(call.get("positions", (call.get("frame"),)))) for call in case.inputs["trace"]]
    assert [tuple(call) for call in of(case).calls] == recorded


@each_case
def test_golden_hidden_states(case: Case) -> None:
    said, recorded = of(case), case.recorded
    conditions, speech = stacked(said.conditions), stacked(said.speech_hidden)
    assert difference(stacked(said.base_hidden), recorded["lm_hidden"]) <= HIDDEN_TOLERANCE
    assert difference(stacked(said.text_hidden), recorded["tts_text_hidden"]) <= HIDDEN_TOLERANCE
    assert difference(conditions[:, 0], recorded["condition_pos"]) <= HIDDEN_TOLERANCE
    assert difference(conditions[:, 1], recorded["condition_neg"]) <= HIDDEN_TOLERANCE
    assert difference(speech[:, 0], recorded["tts_pos_hidden"]) <= HIDDEN_TOLERANCE
    assert difference(speech[:, 1], recorded["tts_neg_hidden"]) <= HIDDEN_TOLERANCE


@each_case
def test_golden_latents(case: Case) -> None:
    said, recorded = of(case), case.recorded
    assert difference(stacked(said.latents), recorded["latents"]) <= HIDDEN_TOLERANCE
    assert difference(stacked(said.decoder_inputs), recorded["latents_scaled"]) <= HIDDEN_TOLERANCE
    assert difference(stacked(said.embeddings), recorded["acoustic_embeds"]) <= HIDDEN_TOLERANCE


@each_case
def test_golden_eos_logits(case: Case) -> None:
    assert difference(torch.tensor(of(case).eos_logits), case.recorded["eos_logits"]) <= HIDDEN_TOLERANCE


@each_case
def test_golden_audio(case: Case) -> None:
    said, recorded = of(case), case.recorded
    assert difference(stacked(said.audio), recorded["audio_frames"]) <= AUDIO_TOLERANCE
    emitted = torch.cat(said.audio[: said.emitted])
    assert difference(emitted, recorded["audio_emitted"].flatten()) <= AUDIO_TOLERANCE
