"""The solver's table of numbers, against the recorded one and against the textbook."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

from golden_cases import find_schedules

from tts_plugin.engine.model.dpm_solver import SOLVERS, SolverName, make_schedule

SCHEDULES = find_schedules()
RECORDED_PRECISION = 2e-4  # relative; the reference multiplies 1,000 numbers in float32, we in float64


@pytest.mark.parametrize("steps", SCHEDULES, ids=lambda steps: f"{steps}-steps")
def test_golden_schedule(steps: str) -> None:
    ours, recorded = make_schedule("dpmsolver++", int(steps)), SCHEDULES[steps]
    assert list(ours.timesteps) == recorded["timesteps"]
    assert [step.alpha for step in ours.steps] == pytest.approx(recorded["alpha"][:-1], rel=RECORDED_PRECISION)
    assert [step.sigma for step in ours.steps] == pytest.approx(recorded["sigma_vp"][:-1], rel=RECORDED_PRECISION)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 5, 10, 20, 50])
def test_every_step_is_the_textbook_step(name: SolverName, steps: int) -> None:
    schedule = make_schedule(name, steps)
    x, previous, noise = 0.7, 0.3, -1.1
    for index, step in enumerate(schedule.steps):
        clean = 0.2 + 0.1 * index
        expected = textbook(schedule.name, schedule.steps, index, x, clean, previous, noise)
        ours = step.keep * x + step.now * clean + step.before * previous + step.noise * noise
        assert ours == pytest.approx(expected, rel=1e-12, abs=1e-12)
        x, previous = expected, clean


def textbook(name, steps, index, x, m0, m1, noise) -> float:
    """DPM-Solver++(2M) and its SDE form (midpoint), as written in the papers: log-SNR, ratios, differences."""
    sigma_s = steps[index].sigma
    if index == len(steps) - 1:
        return m0  # sigma is 0 at the end: both forms give the clean sample
    alpha_t, sigma_t = steps[index + 1].alpha, steps[index + 1].sigma
    snr = [math.log(step.alpha / step.sigma) for step in steps]
    h = snr[index + 1] - snr[index]
    d1 = 0.0 if index == 0 else (m0 - m1) / ((snr[index] - snr[index - 1]) / h)
    if name == "dpmsolver++":
        gain = -alpha_t * (math.exp(-h) - 1)
        return sigma_t / sigma_s * x + gain * m0 + 0.5 * gain * d1
    gain = alpha_t * (1 - math.exp(-2 * h))
    kept = sigma_t / sigma_s * math.exp(-h) * x
    return kept + gain * m0 + 0.5 * gain * d1 + sigma_t * math.sqrt(1 - math.exp(-2 * h)) * noise


def test_an_unknown_solver_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"euler.*dpmsolver\+\+, sde-dpmsolver\+\+"):
        make_schedule("euler", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_a_number_of_steps_out_of_range_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="allowed: 1 to 1000"):
        make_schedule("dpmsolver++", steps)
