"""Solves latents with DPM-Solver++: the head's velocities put together by the numbers of a schedule.

Noise is handed in: this file draws none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tts_plugin.engine.model.diffusion_head import DiffusionHead
from tts_plugin.engine.model.schedule import MAX_BETA as MAX_BETA
from tts_plugin.engine.model.schedule import SOLVERS as SOLVERS
from tts_plugin.engine.model.schedule import Schedule as Schedule
from tts_plugin.engine.model.schedule import SolverName as SolverName
from tts_plugin.engine.model.schedule import SolverStep as SolverStep
from tts_plugin.engine.model.schedule import make_schedule as make_schedule


def sample(
    head: DiffusionHead,
    schedule: Schedule,
    times: Tensor,
    positive: Tensor,
    negative: Tensor,
    cfg_scale: Tensor | float,
    start: Tensor,
    step_noise: Tensor | None = None,
) -> Tensor:
    """Solves one latent per row; both branches of the guidance go through the head as rows of one batch.

    times from head.embed_times(schedule.timesteps); positive, negative [B, hidden]; cfg_scale a number or [B, 1];
    start [B, latent]; step_noise [B, steps, latent] for the SDE solver. Returns [B, latent] float32.
    """
    if schedule.needs_noise and step_noise is None:
        raise ValueError(f"{schedule.name} needs step_noise [B, {len(schedule.steps)}, latent]")
    modulation = head.modulate(torch.cat((positive, negative)), times)
    x, before = start.float(), torch.zeros_like(start, dtype=torch.float32)
    for index, step in enumerate(schedule.steps):
        both = x.to(positive.dtype).repeat(2, 1)
        guided, unguided = head(both, modulation.at(index)).float().chunk(2)
        velocity = unguided + cfg_scale * (guided - unguided)
        clean = step.alpha * x - step.sigma * velocity
        x = step.keep * x + step.now * clean + step.before * before
        if step_noise is not None and step.noise:
            x = x + step.noise * step_noise[:, index].float()
        before = clean
    return x
