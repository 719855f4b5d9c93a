"""From noise to latents on ONNX Runtime: the diffusion head's graphs, and the solver's sums between them in numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tts_plugin.engine.model.schedule import Schedule

Array = NDArray[np.float32]
TIME_FREQUENCIES = 256
TIME_MAX_PERIOD = 10_000


class Sampler:
    """Sessions of the graphs by build_times, build_modulation and build_velocity; `times` is used here only."""

    def __init__(
        self,
        times: onnxruntime.InferenceSession,
        modulation: onnxruntime.InferenceSession,
        velocity: onnxruntime.InferenceSession,
        schedule: Schedule,
    ) -> None:
        self._modulation, self._velocity, self.schedule = modulation, velocity, schedule
        (self._times,) = times.run(["times"], {"waves": time_waves(schedule.timesteps)})

    def sample(self, conditions: Array, cfg_scales: Array, noise: Array) -> Array:
        """conditions [n, 2, hidden]: positive, negative; cfg_scales [n]; noise [n, 1 + steps, latent]: where the latent
        begins, then what the SDE solver adds after each step (the other solver needs the first only).

        Returns latents [n, latent], as the solver makes them. Raises ValueError when noise is missing.
        """
        steps = self.schedule.steps
        if self.schedule.needs_noise and noise.shape[1] < 1 + len(steps):
            raise ValueError(f"{self.schedule.name} needs noise [n, {1 + len(steps)}, latent]; given {noise.shape}")
        (modulation,) = self._modulation.run(None, {"times": self._times, "conditions": conditions})
        scales = np.ascontiguousarray(cfg_scales, np.float32)[:, None]
        x = np.ascontiguousarray(noise[:, 0])
        before = np.zeros_like(x)
        for index, step in enumerate(steps):
            feeds = {"x": x, "modulation": modulation[index], "cfg_scales": scales}
            (velocity,) = self._velocity.run(None, feeds)
            clean = np.float32(step.alpha) * x - np.float32(step.sigma) * velocity
            x = np.float32(step.keep) * x + np.float32(step.now) * clean + np.float32(step.before) * before
            if step.noise:
                x += np.float32(step.noise) * noise[:, index + 1]
            before = clean
        return np.asarray(x)


def time_waves(timesteps: Sequence[int]) -> NDArray[np.float32]:
    """[steps, 256]: the input of the graph of times."""
    half = TIME_FREQUENCIES // 2
    rates = np.exp(np.float32(-math.log(TIME_MAX_PERIOD)) * (np.arange(half, dtype=np.float32) / np.float32(half)))
    angles = np.array(timesteps, np.float32)[:, None] * rates
    return np.concatenate((np.cos(angles), np.sin(angles)), axis=-1)
