"""A runner that computes nothing: what is left is the engine itself. Speaks the face that the real one does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tts_plugin.engine.runner import Made, Opening, Row

_SILENCE = np.zeros(3_200, np.float32)


class NullRunner:
    device, dtype, mode = "none", "float32", ""
    sample_rate_hz, samples_per_latent, max_positions = 24_000, 3_200, 8_192
    voices = ("en-emma_woman",)
    total_pages = free_pages = 0

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.batches: list[int] = []

    def prompt_positions(self, voice: str) -> int:
        return 251

    def reserve(self, slot: int) -> None: ...
    def open(self, slot: int, opening: Opening) -> None: ...
    def close(self, slot: int) -> None: ...
    def prepare(self, row: Row) -> None: ...

    def step(self, rows: Sequence[Row]) -> list[Made]:
        self.batches.append(len(rows))
        return [Made(_SILENCE if row.work.speak else None, False) for row in rows]
