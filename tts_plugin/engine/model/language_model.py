"""The Qwen2 decoder, used twice: 4 layers read text (base), 20 more read text and latents (TTS).

Everything here is per position. What a position may see of the past is the business of the `Attention` handed in, so
that rows of one batch may be of different utterances, of different ages, in dense or paged memory.
Source: Qwen2 in transformers, the split into two models in VibeVoice's modeling_vibevoice_streaming.py.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts_plugin.engine.model.config import LanguageConfig
from tts_plugin.engine.model.layers import Linear, RMSNorm


class Attention(Protocol):
    """One forward pass's door to the KV cache: who the rows are and how far they have come is known behind it."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Appends key and value to the layer's cache and attends causally over the whole of it.

        query [B, heads, T, head_dim], key and value [B, kv_heads, T, head_dim], both rotated; returns query's shape.
        """
        ...


class LanguageModel(nn.Module):
    """A stack of Qwen2 layers over embeddings; the base model has no final norm."""

    def __init__(self, config: LanguageConfig, layers: int, *, final_norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, index) for index in range(layers))
        self.norm = RMSNorm(config.hidden, config.norm_eps) if final_norm else nn.Identity()
        self.rope_theta, self.head_dim = config.rope_theta, config.head_dim

    def forward(self, embeddings: Tensor, positions: Tensor, attention: Attention) -> Tensor:
        """embeddings [B, T, hidden], positions [B, T] whole numbers; returns hidden states [B, T, hidden]."""
        rotation = rotary(positions, self.head_dim, self.rope_theta, embeddings.dtype)
        hidden = embeddings
        for layer in self.layers:
            hidden = layer(hidden, rotation, attention)
        normed: Tensor = self.norm(hidden)
        return normed


class Layer(nn.Module):
    def __init__(self, config: LanguageConfig, index: int) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config, index)
        self.mlp = GatedMLP(config.hidden, config.intermediate)
        self.input_layernorm = RMSNorm(config.hidden, config.norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden, config.norm_eps)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], attention: Attention) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), rotation, attention)
        after: Tensor = hidden + self.mlp(self.post_attention_layernorm(hidden))
        return after


class SelfAttention(nn.Module):
    def __init__(self, config: LanguageConfig, index: int) -> None:
        super().__init__()
        self.index, self.head_dim = index, config.head_dim
        self.q_proj = Linear(config.hidden, config.heads * config.head_dim)
        self.k_proj = Linear(config.hidden, config.kv_heads * config.head_dim)
        self.v_proj = Linear(config.hidden, config.kv_heads * config.head_dim)
        self.o_proj = Linear(config.heads * config.head_dim, config.hidden, bias=False)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], attention: Attention) -> Tensor:
        query = rotate(self.heads(self.q_proj(hidden)), rotation)
        key = rotate(self.heads(self.k_proj(hidden)), rotation)
        seen = attention.attend(self.index, query, key, self.heads(self.v_proj(hidden)))
        out: Tensor = self.o_proj(seen.transpose(1, 2).flatten(2))
        return out

    def heads(self, flat: Tensor) -> Tensor:
        return flat.view(*flat.shape[:2], -1, self.head_dim).transpose(1, 2)  # [B, T, n * d] → [B, n, T, d]


class GatedMLP(nn.Module):
    """SwiGLU without bias; the diffusion head uses the same."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden, intermediate, bias=False)
        self.up_proj = Linear(hidden, intermediate, bias=False)
        self.down_proj = Linear(intermediate, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        down: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return down


def rotary(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine [B, 1, T, head_dim] of each position's angles, computed in float32 and rounded to dtype."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = positions[:, None, :, None].float() * theta**-exponents  # [B, 1, T, head_dim / 2]
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
