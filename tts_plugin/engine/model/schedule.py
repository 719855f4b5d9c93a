"""The numbers of DPM-Solver++ (order 2, midpoint), deterministic and SDE: from noise to a latent in a few steps.

Every step is one linear combination of four tensors, so a schedule is a table of numbers, computed once in float64.
Knows no tensor library. Sources: Lu et al. 2022 (arXiv 2211.01095); diffusers' DPMSolverMultistep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

SolverName = Literal["dpmsolver++", "sde-dpmsolver++"]
SOLVERS: tuple[SolverName, ...] = ("dpmsolver++", "sde-dpmsolver++")
MAX_BETA = 0.999


@dataclass(frozen=True, slots=True)
class SolverStep:
    """clean = alpha * x - sigma * v;  next x = x * keep + clean * now + previous clean * before + noise * noise."""

    timestep: int
    alpha: float
    sigma: float
    keep: float
    now: float
    before: float
    noise: float


@dataclass(frozen=True, slots=True)
class Schedule:
    name: SolverName
    steps: tuple[SolverStep, ...]

    @property
    def needs_noise(self) -> bool:
        return self.name == "sde-dpmsolver++"

    @property
    def timesteps(self) -> tuple[int, ...]:
        return tuple(step.timestep for step in self.steps)


def make_schedule(name: SolverName, steps: int, train_steps: int = 1000) -> Schedule:
    """Raises ValueError for an unknown solver or a number of steps outside 1 to train_steps."""
    if name not in SOLVERS:
        raise ValueError(f"unknown solver {name!r}; known: {', '.join(SOLVERS)}")
    if not 1 <= steps <= train_steps:
        raise ValueError(f"{steps} solver steps; allowed: 1 to {train_steps}")
    times = _timesteps(steps, train_steps)
    cumulative = _alphas_cumprod(train_steps)
    levels = [(math.sqrt(cumulative[t]), math.sqrt(1 - cumulative[t])) for t in times] + [(1.0, 0.0)]
    return Schedule(name, tuple(_step(name, i, time, levels) for i, time in enumerate(times)))


def _timesteps(steps: int, train_steps: int) -> list[int]:
    """Evenly spaced from the noisiest down, the last (0) left out; rounds half to even, as numpy does."""
    return [round((train_steps - 1) * i / steps) for i in range(steps, 0, -1)]


def _alphas_cumprod(train_steps: int) -> list[float]:
    """Cosine schedule: share of the signal left after each training step."""

    def signal(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    left, product = [], 1.0
    for i in range(train_steps):
        beta = min(1 - signal((i + 1) / train_steps) / signal(i / train_steps), MAX_BETA)
        product *= 1 - beta
        left.append(product)
    return left


def _step(name: SolverName, index: int, timestep: int, levels: list[tuple[float, float]]) -> SolverStep:
    alpha, sigma = levels[index]
    next_alpha, next_sigma = levels[index + 1]
    if next_sigma == 0:  # the last step returns the clean latent as it is
        return SolverStep(timestep, alpha, sigma, 0.0, 1.0, 0.0, 0.0)
    width = _log_snr(levels[index + 1]) - _log_snr(levels[index])
    if name == "dpmsolver++":
        keep, gain, noise = next_sigma / sigma, next_alpha * -math.expm1(-width), 0.0
    else:
        gain, noise = next_alpha * -math.expm1(-2 * width), next_sigma * math.sqrt(-math.expm1(-2 * width))
        keep = next_sigma / sigma * math.exp(-width)
    if index == 0:  # nothing to extrapolate from yet: first order
        return SolverStep(timestep, alpha, sigma, keep, gain, 0.0, noise)
    slope = 0.5 * gain * width / (_log_snr(levels[index]) - _log_snr(levels[index - 1]))
    return SolverStep(timestep, alpha, sigma, keep, gain + slope, -slope, noise)


def _log_snr(level: tuple[float, float]) -> float:
    return math.log(level[0]) - math.log(level[1])
