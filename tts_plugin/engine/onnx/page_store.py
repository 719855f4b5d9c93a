"""The paged KV cache as arrays, and the tables by which a pass through a graph reads it. See language_model.py.

A page of one layer and one head is a row of one block of memory, so that a table of rows gathers, in one copy, what a
span's heads have seen. Nothing of it is allocated after the start. Which page is whose is counted in pages.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import LanguageConfig
from tts_plugin.engine.onnx.language_model import SINGLE
from tts_plugin.engine.pages import PAGE, PagePool
from tts_plugin.engine.tracks import Span, StoredPrefix, Track, close, grow, opened, stored

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
Feed = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys (rotated) and values of a prompt, [layers, kv_heads, positions, head_dim] each."""

    keys: Floats
    values: Floats

    @property
    def positions(self) -> int:
        return int(self.keys.shape[2])


class PageStore:
    """keys and values [layers, kv_heads, pages, PAGE, head_dim]. Zeros at first, so padding is always finite."""

    def __init__(self, config: LanguageConfig, layers: int, pages: int) -> None:
        shape = (layers, config.kv_heads, pages, PAGE, config.head_dim)
        self.keys, self.values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.pool = PagePool(pages)
        self._share = config.heads // config.kv_heads

    def store(self, prefix: Prefix) -> StoredPrefix:
        """Keeps a voice's prefix for ever. Raises OutOfPages."""
        kept = stored(self.pool, prefix.positions)
        for n, page in enumerate(kept.pages):
            part = slice(n * PAGE, min((n + 1) * PAGE, prefix.positions))
            self.keys[:, :, page, : part.stop - part.start] = prefix.keys[:, :, part]
            self.values[:, :, page, : part.stop - part.start] = prefix.values[:, :, part]
        return kept

    def open(self, owner: int, prefix: StoredPrefix) -> Track:
        """A new track that begins with a voice. Raises OutOfPages."""
        return opened(self.pool, owner, prefix, self._copy)

    def grow(self, track: Track, positions: int) -> None:
        """Takes the pages for so many positions. Raises OutOfPages; what was taken until then stays the track's."""
        grow(self.pool, track, positions)

    def close(self, track: Track) -> None:
        close(self.pool, track)

    def feed(self, groups: Sequence[Sequence[Span]], kinds: Sequence[str]) -> Feed:
        """What a pass is told; its tokens are all positions of the first group's spans, then the second's, …"""
        layers, heads, pages = self.keys.shape[:3]
        positions = [at for group in groups for span in group for at in range(span.start, span.start + span.count)]
        fed: Feed = {
            "keys": self.keys.reshape(-1, *self.keys.shape[3:]),
            "values": self.values.reshape(-1, *self.values.shape[3:]),
            "positions": np.array([positions], np.int64),
        }
        first, each_layer = 0, np.arange(layers)[:, None] * (heads * pages)
        for n, (group, kind) in enumerate(zip(groups, kinds, strict=True)):
            table = _Tables(group, first, heads, self._share, kind)
            first += len(table.back)
            rows = (np.arange(heads)[:, None] * pages + table.pages[:, None]).reshape(1, -1)  # [1, S * kv * P]
            fed |= {
                f"table_{n}": each_layer + rows,
                f"new_{n}": table.new,
                f"places_{n}": table.places,
                f"mask_{n}": table.mask,
                f"shape_{n}": np.array([len(table.pages), heads, table.depth * PAGE, self.keys.shape[4]]),
                f"tokens_{n}": table.tokens[:, 0] if kind == SINGLE else table.tokens,
            }
            if kind != SINGLE:
                fed[f"back_{n}"] = table.back
        return fed

    def write(self, groups: Sequence[Sequence[Span]], keys: Floats, values: Floats) -> None:
        """Keeps the new tokens of a pass: [layers, tokens, kv_heads, head_dim] each."""
        spans = [span for group in groups for span in group]
        at = [
            (span.track.pages[p // PAGE], p % PAGE)
            for span in spans
            for p in range(span.start, span.start + span.count)
        ]
        pages, offsets = np.array(at).T
        for store, new in ((self.keys, keys), (self.values, values)):
            store[:, :, pages, offsets] = new.transpose(0, 2, 1, 3)

    def _copy(self, source: int, target: int) -> None:
        self.keys[:, :, target] = self.keys[:, :, source]
        self.values[:, :, target] = self.values[:, :, source]


class _Tables:
    """Spans of one group: S of them, of at most T tokens each, over at most P pages."""

    def __init__(self, spans: Sequence[Span], first: int, heads: int, share: int, kind: str) -> None:
        steps = max((span.count for span in spans), default=1)
        self.depth = depth = max((span.depth for span in spans), default=1)
        count = len(spans) if kind == SINGLE else max(1, len(spans))  # nobody is a window that nothing is taken of
        self.pages = np.zeros((count, depth), np.int64)  # short spans are padded with page 0
        self.tokens = np.zeros((count, steps), np.int64)
        last = np.zeros((count, steps), np.int64)  # the position that a token is at
        tokens, places, back = list[int](), list[tuple[int, int, int]](), list[int]()
        for row, span in enumerate(spans):
            self.pages[row, : span.depth] = span.track.pages[: span.depth]
            # what is too short is padded with its last token, whose result is then not taken
            step = np.minimum(np.arange(steps), span.count - 1)
            self.tokens[row], last[row] = first + step, span.start + step
            for n in range(span.count):
                tokens.append(first + n)
                places.append((row, *divmod(span.start + n, PAGE)))
                back.append(row * steps + n)
            first += span.count
        self.back: Whole = np.array(back, np.int64)
        self._set_places(np.array(tokens, np.int64), np.array(places, np.int64).reshape(-1, 3), heads)
        unseen = np.where(np.arange(depth * PAGE) <= last[..., None], np.float32(0), np.float32(-np.inf))
        if kind != SINGLE:
            unseen = unseen.repeat(share, axis=1)  # every head of a kv head's share is a row
        self.mask: Floats = unseen[:, None]

    def _set_places(self, tokens: Whole, places: Whole, heads: int) -> None:
        each_head = np.arange(heads)
        self.new: Whole = (tokens[:, None] * heads + each_head).reshape(-1)
        row, page, offset = (places[:, n, None] for n in range(3))
        rows = (row * heads + each_head) * self.depth + page  # [tokens, heads]
        self.places: Whole = np.stack((rows, np.broadcast_to(offset, rows.shape)), axis=-1).reshape(-1, 2)
