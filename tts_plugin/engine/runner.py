"""The face of whatever computes: rows of work in, samples out. The engine knows this and no tensor library.

All methods are called from one thread at a time. State lives in slots; a step that raises has changed nothing that
matters: the same rows may be run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.utterance import Work

Samples = NDArray[np.float32]


class OutOfMemory(RuntimeError):
    """The device had no memory for this step; fewer rows may fit."""


class DeviceLost(RuntimeError):
    """The device does not work any more; only a new process helps."""


class Noise(Protocol):
    """Where the random numbers of one utterance come from, when not from its seed."""

    def __call__(self, latent: int) -> Samples:
        """[1 + solver steps that need noise, latent size]."""
        ...


class Opening(NamedTuple):
    """What an utterance begins with."""

    voice: str
    seed: int
    cfg_scale: float
    noise: Noise | None = None


class Row(NamedTuple):
    slot: int
    work: Work


class Made(NamedTuple):
    """What came of a row: samples of one latent, or None when the model said that it is done (or none was asked for)."""

    samples: Samples | None
    ended: bool


class Runner(Protocol):
    slots: int
    device: str
    dtype: str
    sample_rate_hz: int
    samples_per_latent: int
    max_positions: int

    @property
    def voices(self) -> tuple[str, ...]: ...
    @property
    def free_pages(self) -> int: ...
    @property
    def total_pages(self) -> int: ...

    def prompt_positions(self, voice: str) -> int: ...
    def can_open(self) -> bool:
        """Whether there is memory for another utterance of usual length."""
        ...

    def open(self, slot: int, opening: Opening) -> None:
        """Raises OutOfPages."""
        ...

    def close(self, slot: int) -> None:
        """Frees what the slot has; its state is forgotten."""
        ...

    def prepare(self, row: Row) -> None:
        """Takes the memory that the row needs. Raises OutOfPages."""
        ...

    def step(self, rows: Sequence[Row]) -> list[Made]:
        """Raises OutOfMemory or DeviceLost."""
        ...
