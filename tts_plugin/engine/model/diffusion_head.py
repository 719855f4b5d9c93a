"""The diffusion head: predicts the velocity of a noisy latent from a hidden state of the TTS model.

What does not depend on the latent (the condition's projection, every step's time embedding and so every layer's
modulation) is computed once for all steps of a latent. Knows nothing of the solver.
Source: VibeVoice's modular_vibevoice_diffusion_head.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.model.language_model import GatedMLP
from tts_plugin.engine.model.layers import Linear, RMSNorm, normalised

TIME_FREQUENCIES = 256
TIME_MAX_PERIOD = 10_000


class Modulation(NamedTuple):
    """What condition and time make of the layers, for all steps of a latent."""

    layers: tuple[Tensor, ...]  # per layer [steps, B, 3 * hidden]: shift, scale, gate
    final: Tensor  # [steps, B, 2 * hidden]: shift, scale

    def at(self, step: int) -> Modulation:
        return Modulation(tuple(layer[step] for layer in self.layers), self.final[step])


class DiffusionHead(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, eps = config.language.hidden, config.diffusion.norm_eps
        self.noisy_images_proj = Linear(config.latent, hidden, bias=False)
        self.cond_proj = Linear(hidden, hidden, bias=False)
        self.t_embedder = TimeEmbedder(hidden)
        self.layers = nn.ModuleList(
            HeadLayer(hidden, config.diffusion.ffn, eps) for _ in range(config.diffusion.layers)
        )
        self.final_layer = FinalLayer(hidden, config.latent, eps)

    def embed_times(self, timesteps: Tensor) -> Tensor:
        """timesteps [steps] → [steps, hidden]: constant for a number of steps, so worth keeping."""
        embedded: Tensor = self.t_embedder(timesteps)
        return embedded

    def modulate(self, condition: Tensor, times: Tensor) -> Modulation:
        """condition [B, hidden], times [steps, hidden] from embed_times."""
        mixed = functional.silu(self.cond_proj(condition) + times[:, None])  # [steps, B, hidden]
        layers = tuple(cast(HeadLayer, layer).adaLN_modulation(mixed) for layer in self.layers)
        return Modulation(layers, self.final_layer.adaLN_modulation(mixed))

    def forward(self, latent: Tensor, modulation: Modulation) -> Tensor:
        """latent [B, latent], modulation of one step (`at`); returns the velocity [B, latent]."""
        x = self.noisy_images_proj(latent)
        for layer, modulated in zip(self.layers, modulation.layers, strict=True):
            x = layer(x, modulated)
        velocity: Tensor = self.final_layer(x, modulation.final)
        return velocity


class TimeEmbedder(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.input = Linear(TIME_FREQUENCIES, hidden, bias=False)
        self.output = Linear(hidden, hidden, bias=False)

    def forward(self, timesteps: Tensor) -> Tensor:
        half = TIME_FREQUENCIES // 2
        exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
        dtype = self.input.weight.dtype
        # bfloat16 rounds 999 to 1000 and 949 to 948; so does the reference, and the output shifts by some percent
        times = timesteps.to(dtype).float()
        angles = times[:, None] * torch.exp(-math.log(TIME_MAX_PERIOD) * exponents)
        waves = torch.cat((angles.cos(), angles.sin()), dim=-1).to(dtype)
        embedded: Tensor = self.output(functional.silu(self.input(waves)))
        return embedded


class HeadLayer(nn.Module):
    def __init__(self, hidden: int, ffn: int, eps: float) -> None:
        super().__init__()
        self.norm = RMSNorm(hidden, eps)
        self.ffn = GatedMLP(hidden, ffn)
        self.adaLN_modulation = Linear(hidden, 3 * hidden, bias=False)

    def forward(self, x: Tensor, modulated: Tensor) -> Tensor:
        shift, scale, gate = modulated.chunk(3, dim=-1)
        after: Tensor = x + gate * self.ffn(self.norm(x) * (1 + scale) + shift)
        return after


class FinalLayer(nn.Module):
    def __init__(self, hidden: int, latent: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.linear = Linear(hidden, latent, bias=False)
        self.adaLN_modulation = Linear(hidden, 2 * hidden, bias=False)

    def forward(self, x: Tensor, modulated: Tensor) -> Tensor:
        shift, scale = modulated.chunk(2, dim=-1)
        out: Tensor = self.linear(normalised(x, self.eps) * (1 + scale) + shift)
        return out
