"""The paged KV cache: what the models remember of every utterance, in pages of 64 positions of one block of memory.

A voice's full pages are stored once and read by all who speak with it; its last, partial page is copied for each.
Nothing is allocated after the start. Which page is whose is counted in pages.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tts_plugin.engine.model.config import LanguageConfig
from tts_plugin.engine.model.voice import Prefix
from tts_plugin.engine.pages import PAGE, PagePool
from tts_plugin.engine.tracks import Span, StoredPrefix, Track, close, grow, opened, stored


class PagedCache:
    """keys and values [layers, pages, PAGE, kv_heads, head_dim]. Zeros at first, so padding is always finite."""

    def __init__(self, config: LanguageConfig, layers: int, pages: int, like: Tensor) -> None:
        shape = (layers, pages, PAGE, config.kv_heads, config.head_dim)
        self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        self.pool = PagePool(pages)

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

    def at(self, groups: Sequence[Sequence[Span]]) -> PagedAttention:
        """The coming pass: its tokens are all positions of the first group's spans, then the second's, …"""
        return PagedAttention(self, [group for group in groups if group])

    def _copy(self, source: int, target: int) -> None:
        self.keys[:, target] = self.keys[:, source]
        self.values[:, target] = self.values[:, source]


class PagedAttention:
    """A pass over tokens [N, 1, hidden]; spans of one group are attended together, padded to the longest."""

    def __init__(self, cache: PagedCache, groups: Sequence[Sequence[Span]]) -> None:
        self._cache = cache
        device = cache.keys.device
        places = [
            (span.track.pages[at // PAGE], at % PAGE, at) for group in groups for span in group for at in _range(span)
        ]
        pages, offsets, positions = torch.tensor(places).to(device).unbind(1)
        self._pages, self._offsets, self.positions = pages, offsets, positions[:, None]  # [N], [N], [N, 1]
        self._groups, first = [], 0
        for group in groups:
            self._groups.append(_Group(group, first, device))
            first += sum(span.count for span in group)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [N, heads, 1, head_dim], key and value [N, kv_heads, 1, head_dim]."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[self._pages, self._offsets] = key[:, :, 0]
        values[self._pages, self._offsets] = value[:, :, 0]
        return torch.cat([group.attend(query, keys, values) for group in self._groups])


class _Group:
    """Spans of one shape: [S] spans of at most T tokens each, over at most P pages."""

    def __init__(self, spans: Sequence[Span], first: int, device: torch.device) -> None:
        longest = max(span.count for span in spans)
        depth = max(span.depth for span in spans)
        table, tokens, positions, back = [], [], [], []
        for row, span in enumerate(spans):
            pages = span.track.pages[:depth]
            table.append(pages + [0] * (depth - len(pages)))
            # what is too short is padded with its last token, whose result is then not taken
            steps = [min(step, span.count - 1) for step in range(longest)]
            tokens.append([first + step for step in steps])
            positions.append([span.start + step for step in steps])
            back += [row * longest + step for step in range(span.count)]
            first += span.count
        self._spans, self._depth, self._longest = len(spans), depth, longest
        self._table = torch.tensor(table).to(device).flatten()  # [S * P]
        self._tokens = torch.tensor(tokens).to(device)  # [S, T]
        self._back = torch.tensor(back).to(device)  # [tokens]
        reach = torch.arange(depth * PAGE, device=device)
        self._mask = reach <= torch.tensor(positions).to(device)[:, None, :, None]  # [S, 1, T, P * PAGE]

    def attend(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        queries = query[self._tokens, :, 0].transpose(1, 2)  # [S, heads, T, head_dim]
        seen = functional.scaled_dot_product_attention(
            queries, self._gather(keys), self._gather(values), attn_mask=self._mask, enable_gqa=True
        )
        return seen.transpose(1, 2).flatten(0, 1)[self._back][:, :, None]

    def _gather(self, store: Tensor) -> Tensor:
        """[pages, PAGE, kv_heads, head_dim] → [S, kv_heads, P * PAGE, head_dim]."""
        rows = store.index_select(0, self._table)
        return rows.view(self._spans, self._depth * PAGE, *store.shape[2:]).transpose(1, 2)


def _range(span: Span) -> range:
    return range(span.start, span.start + span.count)
