"""The paged KV cache: what the models remember of every utterance, in pages of 64 positions of one block of memory.

A voice's full pages are stored once and read by all who speak with it; its last, partial page is copied for each.
Nothing is allocated after the start. Which page is whose is counted in pages.py and tracks.py. Page 0 is always zeros
and pads what is short; beyond the pool's pages lies one more, which padding writes to and nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tts_plugin.engine.model.config import LanguageConfig
from tts_plugin.engine.model.voice import Prefix
from tts_plugin.engine.pages import PAGE, PagePool
from tts_plugin.engine.tracks import StoredPrefix, Track, close, grow, opened, stored


class Spans(NamedTuple):
    """Spans that are attended together: so many tokens each, of the tracks whose pages [spans, depth] these are."""

    tokens: int
    pages: Tensor


class PagedCache:
    """keys and values [layers, pages, PAGE, kv_heads, head_dim]. Zeros at first, so padding is always finite."""

    def __init__(self, config: LanguageConfig, layers: int, pages: int, like: Tensor) -> None:
        shape = (layers, pages + 1, PAGE, config.kv_heads, config.head_dim)
        self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        self.pool = PagePool(pages)
        self.scratch_page = pages
        self.sharing = config.heads // config.kv_heads  # query heads to a key head

    def store(self, prefix: Prefix) -> StoredPrefix:
        """Keeps a voice's prefix for ever. Raises OutOfPages."""
        kept = stored(self.pool, prefix.positions)
        for n, page in enumerate(kept.pages):
            part = slice(n * PAGE, min((n + 1) * PAGE, prefix.positions))
            length = part.stop - part.start
            self.keys[:, page, :length] = prefix.keys[:, :, part].transpose(1, 2)
            self.values[:, page, :length] = prefix.values[:, :, part].transpose(1, 2)
        return kept

    def open(self, owner: int, prefix: StoredPrefix) -> Track:
        """A new track that begins with a voice. Raises OutOfPages."""
        return opened(self.pool, owner, prefix, self._copy)

    def grow(self, track: Track, positions: int) -> None:
        """Takes the pages for so many positions. Raises OutOfPages; what was taken until then stays the track's."""
        grow(self.pool, track, positions)

    def close(self, track: Track) -> None:
        close(self.pool, track)

    def at(self, positions: Tensor, places: Tensor, groups: Sequence[Spans]) -> PagedAttention:
        """The coming pass: its tokens are all of the first group's spans, then the second's, …

        positions [N]; places [N]: page * PAGE + offset, where each token's key and value go.
        """
        return PagedAttention(self, positions, places, [group for group in groups if group.pages.numel()])

    def _copy(self, source: int, target: int) -> None:
        self.keys[:, target] = self.keys[:, source]
        self.values[:, target] = self.values[:, source]


class PagedAttention:
    """A pass over tokens [N, 1, hidden]."""

    def __init__(self, cache: PagedCache, positions: Tensor, places: Tensor, groups: Sequence[Spans]) -> None:
        self._cache, self._places, self.positions = cache, places, positions[:, None]
        self._groups, first = [], 0
        for group in groups:
            tokens = slice(first, first + len(group.pages) * group.tokens)
            self._groups.append(_Group(group, tokens, positions[tokens], cache))
            first = tokens.stop

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [N, heads, 1, head_dim], key and value [N, kv_heads, 1, head_dim]."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys.flatten(0, 1).index_copy_(0, self._places, key[:, :, 0])
        values.flatten(0, 1).index_copy_(0, self._places, value[:, :, 0])
        return torch.cat([group.attend(query, keys, values) for group in self._groups])


class _Group:
    """The query heads that share a key head are attended as if they were more tokens: so the keys are read once."""

    def __init__(self, spans: Spans, tokens: slice, positions: Tensor, cache: PagedCache) -> None:
        self._count, self._depth = spans.pages.shape
        self._pages, self._steps, self._tokens = spans.pages.flatten(), spans.tokens, tokens
        self._sharing = cache.sharing
        reach = torch.arange(self._depth * PAGE, device=positions.device)
        hidden = reach > positions.view(self._count, 1, -1, 1)  # [S, 1, T, P * PAGE]
        mask = cache.keys.new_zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
        self._mask = mask.repeat(1, 1, self._sharing, 1)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        _, heads, _, width = query.shape
        apart = (self._count, self._steps, keys.shape[2], self._sharing, width)
        queries = query[self._tokens].view(apart).permute(0, 2, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(
            queries.flatten(2, 3), self._gather(keys), self._gather(values), attn_mask=self._mask
        )  # [S, kv_heads, sharing * T, width]
        back = seen.view(self._count, keys.shape[2], self._sharing, self._steps, width).permute(0, 3, 1, 2, 4)
        return back.reshape(self._count * self._steps, heads, 1, width)

    def _gather(self, store: Tensor) -> Tensor:
        """[pages, PAGE, kv_heads, head_dim] → [S, kv_heads, P * PAGE, head_dim]."""
        rows = store.index_select(0, self._pages)
        return rows.view(self._count, self._depth * PAGE, *store.shape[2:]).transpose(1, 2)
