"""The simplest KV cache: one block of memory, a row per branch, as long as the longest may get. For the oracle."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tts_plugin.engine.model.config import LanguageConfig
from tts_plugin.engine.model.voice import Prefix


class DenseCache:
    """keys and values [layers, rows, kv_heads, capacity, head_dim]; what was not written is never attended."""

    def __init__(self, config: LanguageConfig, layers: int, rows: int, capacity: int, like: Tensor) -> None:
        shape = (layers, rows, config.kv_heads, capacity, config.head_dim)
        self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)

    def store(self, row: int, prefix: Prefix) -> None:
        self.keys[:, row, :, : prefix.positions] = prefix.keys
        self.values[:, row, :, : prefix.positions] = prefix.values

    def at(self, rows: Tensor, positions: Tensor) -> DenseAttention:
        """rows [B] and positions [B, T] of the coming pass."""
        return DenseAttention(self, rows, positions)


class DenseAttention:
    def __init__(self, cache: DenseCache, rows: Tensor, positions: Tensor) -> None:
        self._cache, self._rows, self._positions = cache, rows, positions
        self._reach = int(positions.max()) + 1
        self._mask = torch.arange(self._reach, device=rows.device) <= positions[:, None, :, None]  # [B, 1, T, reach]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        keys = self._append(self._cache.keys[layer], key)
        values = self._append(self._cache.values[layer], value)
        return functional.scaled_dot_product_attention(query, keys, values, attn_mask=self._mask, enable_gqa=True)

    def _append(self, store: Tensor, new: Tensor) -> Tensor:
        """Writes [B, kv_heads, T, head_dim] at the rows' positions and returns all that they may see."""
        store[self._rows[:, None], :, self._positions] = new.transpose(1, 2)
        return store[self._rows, :, : self._reach]
