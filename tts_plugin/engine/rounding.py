"""What weights of few bits change: every part of the network beside its float32 self, fed with the same numbers.

The float32 network speaks. At each latent the other one gets that network's past, its conditions and its latents, so
that an error is of one pass and one part, and does not grow in feedback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.onnx.network import OnnxNetwork
from tts_plugin.engine.onnx.voice import Voice
from tts_plugin.engine.onnx_runner import OnnxRunner
from tts_plugin.engine.plan import Plan
from tts_plugin.engine.runner import Opening, Row
from tts_plugin.engine.sizes import Sizes
from tts_plugin.engine.utterance import Progress

Floats = NDArray[np.float32]
PARTS = ("hidden states", "latents", "latents from own hidden states", "audio")


@dataclass(frozen=True, slots=True)
class Errors:
    """Relative to the float32 numbers: rms of the differences by rms, over all latents; and the worst latent."""

    part: str
    relative: float
    worst: float

    @property
    def decibels(self) -> float:
        """Signal to noise."""
        return -20 * float(np.log10(self.relative)) if self.relative else float("inf")


class _Half(OnnxRunner):
    """A runner whose steps are taken apart."""

    def hear(self, plan: Plan, latents: Floats) -> Floats:
        self._latents[:] = latents
        return self._hear(plan)[0]

    def solve(self, conditions: Floats, rows: Sequence[Row]) -> Floats:
        scales = np.array([self._seats[row.slot].opening.cfg_scale for row in rows], np.float32)
        return self._network.sampler.sample(conditions, scales, self._noise(rows))

    def sound(self, latents: Floats, rows: Sequence[Row]) -> Floats:
        return self._decoder.decode(self._network.unscaled(latents), [row.slot for row in rows])

    def plan(self, rows: Sequence[Row]) -> Plan:
        for row in rows:
            self.prepare(row)
        return Plan(rows, [self._seats[row.slot] for row in rows])

    def advance(self, plan: Plan) -> None:
        for row, seat in zip(plan.rows, plan.seats, strict=True):
            seat.advance(row)


def measure(
    exact: OnnxNetwork,
    rounded: OnnxNetwork,
    voices: Mapping[str, Voice],
    sizes: Sizes,
    ids: Sequence[int],
    latents: int,
    opening: Opening,
) -> list[Errors]:
    """One utterance of so many latents, in slot 0."""
    teacher, pupil = _Half(exact, voices, sizes), _Half(rounded, voices, sizes)
    progress = Progress(teacher.prompt_positions(opening.voice), teacher.max_positions, cap=False)
    progress.add(ids)
    progress.end_text()
    for half in (teacher, pupil):
        half.reserve(0)
        half.open(0, opening)
    past = np.zeros((sizes.slots, exact.config.latent), np.float32)
    pairs: dict[str, list[tuple[Floats, Floats]]] = {part: [] for part in PARTS}
    while progress.end is None and progress.latents < latents:
        rows = [Row(0, progress.next_work())]
        plans = teacher.plan(rows), pupil.plan(rows)
        heard = [half.hear(plan, past) for half, plan in zip((teacher, pupil), plans, strict=True)]
        solved = [teacher.solve(heard[0], rows), pupil.solve(heard[0], rows), pupil.solve(heard[1], rows)]
        sounds = [half.sound(solved[0], rows) for half in (teacher, pupil)]
        exactly = (heard[0], solved[0], solved[0], sounds[0])
        roughly = (heard[1], solved[1], solved[2], sounds[1])
        for part, one, other in zip(PARTS, exactly, roughly, strict=True):
            pairs[part].append((one, other))
        past[0] = solved[0][0]
        for half, plan in zip((teacher, pupil), plans, strict=True):
            half.advance(plan)
        progress.advance(rows[0].work, ended=False)
    return [_errors(part, pairs[part]) for part in PARTS]


def _errors(part: str, pairs: Sequence[tuple[Floats, Floats]]) -> Errors:
    each = [_relative(exact, other) for exact, other in pairs]
    whole = _relative(*(np.stack(side) for side in zip(*pairs, strict=True)))
    return Errors(part, whole, max(each))


def _relative(exact: Floats, other: Floats) -> float:
    return float(np.linalg.norm(other - exact) / np.linalg.norm(exact))
