"""A step as one row of whole numbers: which tokens, positions, pages and rows the network's functions work on.

A shape says how many of each there are. `exact` is as large as the step; `Buckets` round up to a few shapes that can be
captured beforehand. What pads a shape reads zeros and writes to a slot and a page that nobody reads. Knows no tensor
library: whatever can be split by `lengths` can be unpacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.pages import PAGE
from tts_plugin.engine.plan import Plan
from tts_plugin.engine.tracks import Span
from tts_plugin.engine.utterance import TEXT_WINDOW

Numbers = NDArray[np.int64]


class Group(NamedTuple):
    """Spans that are attended together: of so many tokens each, over so many pages."""

    spans: int
    tokens: int
    depth: int

    @property
    def size(self) -> int:
        return self.spans * self.tokens


class Shape(NamedTuple):
    rows: int
    alone: Group  # latents of rows that read no text
    negative: Group  # every row's latent in the negative branch
    reads: Group  # text windows, each after its row's latent
    base: Group  # the same windows in the base model

    @property
    def groups(self) -> tuple[Group, Group, Group]:
        """Of the TTS model, in the order of its tokens."""
        return self.alone, self.negative, self.reads

    @property
    def tokens(self) -> int:
        return sum(group.size for group in self.groups)

    @property
    def fields(self) -> dict[str, tuple[int, ...]]:
        """Name and dimensions of everything in a row of numbers, in order."""
        base, tokens, rows = self.base, self.tokens, self.rows
        return {
            "slots": (self.negative.spans,),  # whose latents are heard
            "order": (tokens,),  # token → its place in: heard latents, then text windows
            "positions": (tokens,),
            "places": (tokens,),  # page and offset in one number
            "alone": (self.alone.spans, self.alone.depth),  # pages
            "negative": (self.negative.spans, self.negative.depth),
            "reads": (self.reads.spans, self.reads.depth),
            "ids": (base.size,),
            "base_positions": (base.size,),
            "base_places": (base.size,),
            "base": (base.spans, base.depth),
            "last": (rows,),  # row → the token whose hidden state is its condition; beyond the tokens: its silence
            "unguided": (rows,),  # the same of the negative branch
            "heard": (rows,),  # row → the token of its latent
            "voice": (rows,),
        }

    @property
    def lengths(self) -> list[int]:
        return [prod(dimensions) for dimensions in self.fields.values()]


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where padding writes."""

    slot: int
    base_page: int
    tts_page: int


@dataclass(frozen=True, slots=True)
class Buckets:
    """Shapes that any step is rounded up to. `depths` in pages."""

    rows: tuple[int, ...]
    depths: tuple[int, ...]

    @classmethod
    def of(cls, slots: int, max_positions: int) -> Buckets:
        """Powers of two up to `slots`; contexts of 512, 1024, 2048 and all positions."""
        most = -(-max_positions // PAGE)
        rows = [2**n for n in range(slots.bit_length()) if 2**n < slots]
        return cls((*rows, slots), (*(depth for depth in (8, 16, 32) if depth < most), most))

    def shape(self, plan: Plan) -> Shape | None:
        """The smallest that the plan fits into; None where none is large enough."""
        rows = _at_least(len(plan.rows), self.rows)
        depth = _at_least(max(_depth(spans) for spans in (*plan.groups, plan.base_spans)), self.depths)
        if rows is None or depth is None:
            return None
        windows = next(windows for windows in self.windows(rows) if windows >= len(plan.reads))
        return self.of_size(rows, windows, depth)

    def shapes(self) -> list[Shape]:
        """All of them, the largest first: what is captured later finds memory to use again."""
        return [
            self.of_size(rows, windows, depth)
            for rows in reversed(self.rows)
            for depth in reversed(self.depths)
            for windows in reversed(self.windows(rows))
        ]

    def windows(self, rows: int) -> list[int]:
        """How many of so many rows read at once: none, a quarter, all."""
        return sorted({0, -(-rows // 4), rows})

    def of_size(self, rows: int, windows: int, depth: int) -> Shape:
        single = Group(rows, 1, depth)
        window = TEXT_WINDOW if windows else 0
        reads = Group(windows, window + bool(windows), depth if windows else 0)
        return Shape(rows, single, single, reads, Group(windows, window, depth if windows else 0))


def exact(plan: Plan) -> Shape:
    alone, negative, reads = (_group(spans) for spans in plan.groups)
    return Shape(len(plan.rows), alone, negative, reads, _group(plan.base_spans))


def empty(shape: Shape, scratch: Scratch) -> Numbers:
    """A step of nothing but padding."""
    numbers = np.zeros(sum(shape.lengths), np.int64)
    fields = _views(numbers, shape)
    fields["slots"][:] = scratch.slot
    fields["places"][:], fields["base_places"][:] = scratch.tts_page * PAGE, scratch.base_page * PAGE
    fields["order"][shape.alone.size :][: shape.negative.size] = np.arange(shape.negative.size)
    fields["last"][:] = fields["unguided"][:] = shape.tokens + np.arange(shape.rows)
    return numbers


def lay_out(plan: Plan, shape: Shape, scratch: Scratch, voices: Sequence[int]) -> Numbers:
    """The plan in this shape; voices: the number of each row's."""
    numbers = empty(shape, scratch)
    fields = _views(numbers, shape)
    fields["slots"][: len(plan.backs)] = [plan.rows[n].slot for n in plan.backs]
    fields["voice"][: len(voices)] = voices
    _lay_spans(fields, plan, shape)
    _lay_order(fields, plan, shape)
    _lay_ends(fields, plan, shape)
    return numbers


def _lay_spans(fields: dict[str, Numbers], plan: Plan, shape: Shape) -> None:
    first = 0
    for name, group, spans in zip(("alone", "negative", "reads"), shape.groups, plan.groups, strict=True):
        part = slice(first, first + group.size)
        _lay_group(spans, group, fields["positions"][part], fields["places"][part], fields[name])
        first += group.size
    _lay_group(plan.base_spans, shape.base, fields["base_positions"], fields["base_places"], fields["base"])


def _lay_group(spans: Sequence[Span], group: Group, positions: Numbers, places: Numbers, table: Numbers) -> None:
    for row, span in enumerate(spans):
        part = slice(row * group.tokens, row * group.tokens + span.count)
        at = np.arange(span.start, span.start + span.count)
        pages = np.array(span.track.pages[: span.depth])
        positions[part] = at
        places[part] = pages[at // PAGE] * PAGE + at % PAGE
        table[row, : len(pages)] = pages


def _lay_order(fields: dict[str, Numbers], plan: Plan, shape: Shape) -> None:
    back = {n: place for place, n in enumerate(plan.backs)}
    fields["order"][: len(plan.alone)] = [back[n] for n in plan.alone]
    reads = fields["order"][shape.alone.size + shape.negative.size :].reshape(shape.reads.spans, shape.reads.tokens)
    ids = fields["ids"].reshape(shape.base.spans, shape.base.tokens)
    for window, n in enumerate(plan.reads):
        text, hears = plan.rows[n].work.text, n in back
        ids[window, : len(text)] = text
        if hears:
            reads[window, 0] = back[n]
        text_at = shape.negative.spans + window * shape.base.tokens
        reads[window, hears : hears + len(text)] = np.arange(text_at, text_at + len(text))


def _lay_ends(fields: dict[str, Numbers], plan: Plan, shape: Shape) -> None:
    fields["last"][plan.alone] = fields["heard"][plan.alone] = np.arange(len(plan.alone))
    fields["unguided"][plan.backs] = shape.alone.size + np.arange(len(plan.backs))
    first = shape.alone.size + shape.negative.size
    for n, span in zip(plan.reads, plan.groups[2], strict=True):
        fields["heard"][n] = first
        fields["last"][n] = first + span.count - 1
        first += shape.reads.tokens


def _views(numbers: Numbers, shape: Shape) -> dict[str, Numbers]:
    views, first = {}, 0
    for name, dimensions in shape.fields.items():
        views[name] = numbers[first : first + prod(dimensions)].reshape(dimensions)
        first += prod(dimensions)
    return views


def _group(spans: Sequence[Span]) -> Group:
    return Group(len(spans), max((span.count for span in spans), default=0), _depth(spans))


def _depth(spans: Sequence[Span]) -> int:
    return max((span.depth for span in spans), default=0)


def _at_least(least: int, sizes: Sequence[int]) -> int | None:
    return next((size for size in sizes if size >= least), None)
