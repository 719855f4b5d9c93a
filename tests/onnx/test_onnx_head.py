"""The sampler on ONNX Runtime: the reference's latents, row by row."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the golden cases are read with torch")

from golden_cases import HIDDEN_TOLERANCE, Case, find_cases

from tts_plugin.engine.model.config import read_config
from tts_plugin.engine.model.schedule import make_schedule
from tts_plugin.engine.onnx.builder import PRECISIONS, Builder, Precision
from tts_plugin.engine.onnx.checkpoint import open_tensors
from tts_plugin.engine.onnx.head import Sampler
from tts_plugin.engine.onnx.head_graph import build_modulation, build_times, build_velocity

CASES = find_cases("float32")
SDE = next(case for case in CASES if case.schedule.needs_noise)
ROUNDED = 0.02  # of the latents, relative, teacher-forced: 0.0085 is measured; the head's fewest bits are 8
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.stem)
each_precision = pytest.mark.parametrize("precision", PRECISIONS)


@cache
def built(folder: Path, config: str, weights: str, precision: Precision):
    times, modulation, velocity, shape = Builder(), Builder(), Builder(), read_config(folder / config)
    with open_tensors(folder / weights) as tensors:
        build_times(times, tensors, shape)
        build_modulation(modulation, tensors, shape, precision)
        build_velocity(velocity, tensors, shape, precision)
    return times.session(), modulation.session(), velocity.session()


def sampler(case: Case, precision: Precision = "float32") -> Sampler:
    return Sampler(
        *built(case.path.parent, case.inputs["config"], case.inputs["weights"], precision),
        make_schedule(case.inputs["solver"], case.inputs["ddpm_steps"]),
    )


def inputs_of(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Conditions, scales and noise of all latents of a case, as rows."""
    recorded = {name: tensor.numpy() for name, tensor in case.recorded.items()}
    conditions = np.stack((recorded["condition_pos"], recorded["condition_neg"]), axis=1)
    noise = recorded["noise_init"][:, None]
    if "noise_steps" in recorded:
        noise = np.concatenate((noise, recorded["noise_steps"]), axis=1)
    return conditions, np.full(len(noise), case.inputs["cfg_scale"], np.float32), noise


@each_case
def test_golden_sampler_on_onnx(case: Case) -> None:
    latents = sampler(case).sample(*inputs_of(case))
    assert np.abs(latents - case.recorded["latents"].numpy()).max() <= HIDDEN_TOLERANCE


@pytest.mark.parametrize("precision", ["int8", "int4"])
@each_case
def test_golden_sampler_of_few_bits(case: Case, precision: Precision) -> None:
    recorded = case.recorded["latents"].numpy()
    off = sampler(case, precision).sample(*inputs_of(case)) - recorded
    assert 0 < np.linalg.norm(off) / np.linalg.norm(recorded) <= ROUNDED


@each_precision
def test_sampler_rows_with_their_own_cfg_scale_are_themselves_alone(precision: Precision) -> None:
    conditions, _, noise = (part[:3] for part in inputs_of(SDE))
    scales, solve = np.array([1, 1.5, 3], np.float32), sampler(SDE, precision).sample
    together = solve(conditions, scales, noise)
    for row in range(3):
        one = slice(row, row + 1)
        assert np.abs(solve(conditions[one], scales[one], noise[one])[0] - together[row]).max() <= 1e-5


@each_precision
def test_an_outlier_beside_a_latent_moves_nobody(precision: Precision) -> None:
    conditions, scales, noise = (part[:2].copy() for part in inputs_of(SDE))
    solve = sampler(SDE, precision).sample
    quiet = solve(conditions, scales, noise)
    conditions[1] *= 100
    noise[1] *= 100
    loud = solve(conditions, scales, noise)
    assert np.abs(loud[1]).max() > 3 * np.abs(quiet[1]).max()
    assert np.abs(loud[0] - quiet[0]).max() <= 1e-5


def test_sde_sampler_on_onnx_without_its_noise_is_refused() -> None:
    conditions, scales, noise = inputs_of(SDE)
    with pytest.raises(ValueError, match="needs noise"):
        sampler(SDE).sample(conditions, scales, noise[:, :1])
