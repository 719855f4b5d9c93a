"""The face of whatever computes: rows of work in, samples out. The engine knows this and no tensor library.

`reserve`, `close` and `prepare` only count and are called under the engine's lock; `open` and `step` come from its
thread. State lives in slots. A step that raises has changed nothing that matters: its rows may be run again.
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
    """What came of a row: one latent's samples; None when the model says that it is done, or none was asked for."""

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
    def mode(self) -> str:
        """How steps are called: graphs, or eager and why; empty where there is only one way."""
        ...

    @property
    def voices(self) -> tuple[str, ...]: ...
    @property
    def total_pages(self) -> int:
        """Of the TTS model's cache, which fills first."""
        ...

    @property
    def free_pages(self) -> int:
        """Of those, the ones that nobody has or was promised."""
        ...

    def prompt_positions(self, voice: str) -> int: ...
    def reserve(self, slot: int) -> None:
        """Sets memory aside for an utterance of usual length; only counts. Raises OutOfPages."""
        ...

    def open(self, slot: int, opening: Opening) -> None:
        """Puts an utterance into a reserved slot."""
        ...

    def close(self, slot: int) -> None:
        """Frees what the slot has, reserved or opened; only counts."""
        ...

    def prepare(self, row: Row) -> None:
        """Takes the memory that the row needs. Raises OutOfPages."""
        ...

    def step(self, rows: Sequence[Row]) -> list[Made]:
        """Raises OutOfMemory or DeviceLost."""
        ...
