"""The recorded runs of the reference through ONNX Runtime: whole runs in float32, part by part with fewer bits."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the golden cases are read with torch")

import numpy as np
from batch_bench import Bench
from golden_cases import HIDDEN_TOLERANCE, Case, find_cases, golden_folder
from onnx_networks import case_network, onnx_runner
from onnx_trace import follow_trace
from test_golden_batched import check, other, speech_of

from tts_plugin.engine.onnx.builder import Precision
from tts_plugin.engine.onnx.network import OnnxNetwork
from tts_plugin.engine.onnx.voice import load_voice
from tts_plugin.engine.onnx_runner import OnnxRunner

ROUNDED = {"int8": 0.02, "int4": 0.2}  # of hidden states, relative, teacher-forced: 0.011 and 0.11 are measured
CASES = find_cases("float32")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)


def network(case: Case, precision: Precision = "float32") -> OnnxNetwork:
    folder, given = case.path.parent, case.inputs
    return case_network(
        folder / given["config"], folder / given["weights"], given["eos_bias"], case.schedule, precision
    )


def runner(case: Case, slots: int) -> OnnxRunner:
    opened = network(case)
    return onnx_runner(opened, {"voice": load_voice(case.path.parent / case.inputs["voice"], opened.config)}, slots)


def test_golden_folder_holds_cases_for_onnx() -> None:
    assert CASES, f"no case in {golden_folder()}"


@each_case
def test_golden_case_on_onnx_alone(case: Case) -> None:
    said = speech_of(case)
    Bench(runner(case, 1), [said]).run()
    check(case, said)


@each_case
def test_golden_case_on_onnx_in_a_batch_of_others(case: Case) -> None:
    said = speech_of(case, starts=2)
    others = [other(case, 1, 0), other(case, 2, 1), other(case, 3, 4)]
    Bench(runner(case, 4), [others[0], said, *others[1:]]).run()
    check(case, said)


@each_case
def test_golden_case_on_onnx_with_text_that_comes_id_by_id(case: Case) -> None:
    said = speech_of(case)
    said.feeds = 1
    Bench(runner(case, 1), [said]).run()
    check(case, said)


@each_case
def test_golden_hidden_states_on_onnx(case: Case) -> None:
    heard = follow_trace(case, network(case))
    for name in ("lm_hidden", "tts_text_hidden", "tts_pos_hidden", "tts_neg_hidden", "eos_logits"):
        assert np.abs(heard[name] - case.recorded[name].numpy()).max() <= HIDDEN_TOLERANCE, name


@pytest.mark.parametrize("precision", ["int8", "int4"])
@each_case
def test_golden_hidden_states_of_few_bits(case: Case, precision: Precision) -> None:
    heard = follow_trace(case, network(case, precision))
    for name in ("lm_hidden", "tts_text_hidden", "tts_pos_hidden", "tts_neg_hidden"):
        recorded = case.recorded[name].numpy()
        off = np.linalg.norm(heard[name] - recorded) / np.linalg.norm(recorded)
        assert 0 < off <= ROUNDED[precision], name
