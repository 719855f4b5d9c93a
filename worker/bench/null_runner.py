"""A runner without a model: silence at once, and honest page counting. What is left is the engine's own work."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tts_plugin.engine.pages import PagePool, pages_for
from tts_plugin.engine.runner import Made, Opening, Row
from tts_plugin.engine.sizes import PROMISED_IDS, PROMISED_LATENTS

_PROMPT = 251  # positions of en-Emma
_PROMISE = pages_for(PROMISED_IDS + PROMISED_LATENTS) + pages_for(PROMISED_LATENTS) + 2


class NullRunner:
    mode = ""
    device, dtype, sample_rate_hz, samples_per_latent, max_positions = "none", "none", 24_000, 3_200, 8_192

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.voices: tuple[str, ...] = ("en-emma_woman",)
        self.steps: list[tuple[int, float]] = []  # rows, and the process's CPU time when the step began
        self._pool = PagePool(1 + slots * 2 * _PROMISE)
        self._pages: dict[int, list[int]] = {}
        self._lengths: dict[int, int] = {}
        self._silence = np.zeros(self.samples_per_latent, np.float32)

    @property
    def total_pages(self) -> int:
        return self._pool.count

    @property
    def free_pages(self) -> int:
        return self._pool.unpromised

    def cpu_s_per_step(self, rows: int) -> tuple[float, ...]:
        """The process's CPU time from each step of so many rows to the next one of as many."""
        pairs = zip(self.steps, self.steps[1:], strict=False)
        return tuple(after - before for (n, before), (m, after) in pairs if n == m == rows)

    def prompt_positions(self, voice: str) -> int:
        return _PROMPT

    def reserve(self, slot: int) -> None:
        self._pool.promise(slot, _PROMISE)

    def open(self, slot: int, opening: Opening) -> None:
        self._pages[slot], self._lengths[slot] = [], _PROMPT

    def close(self, slot: int) -> None:
        self._pool.give_back(slot, self._pages.pop(slot, []))

    def prepare(self, row: Row) -> None:
        self._lengths[row.slot] += row.work.feed_back + len(row.work.text)
        wanted = pages_for(self._lengths[row.slot]) + pages_for(row.work.latent + 1)
        while len(self._pages[row.slot]) < wanted:
            self._pages[row.slot].append(self._pool.take(row.slot))

    def step(self, rows: Sequence[Row]) -> list[Made]:
        self.steps.append((len(rows), time.process_time()))
        return [Made(self._silence, False)] * len(rows)
