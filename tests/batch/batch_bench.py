"""Utterances driven through a runner without threads or clocks: rows of any age, together or alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tts_plugin.engine.model.dpm_solver import Schedule
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.voice import Voice
from tts_plugin.engine.runner import Opening, Row, Samples
from tts_plugin.engine.sizes import Sizes, VoiceLengths, fit
from tts_plugin.engine.torch_runner import TorchRunner
from tts_plugin.engine.utterance import Progress, Work

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))  # for golden_cases

torch.set_num_threads(1)


def lengths(voice: Voice) -> VoiceLengths:
    return VoiceLengths(voice.base.positions, voice.tts.positions, voice.negative.positions)


def sizes_for(network: Network, voices: Mapping[str, Voice], slots: int, free_bytes: int = 1 << 30) -> Sizes:
    return fit(network.config, [lengths(voice) for voice in voices.values()], slots, 4, free_bytes)


def make_runner(network: Network, voices: Mapping[str, Voice], schedule: Schedule, slots: int) -> TorchRunner:
    return TorchRunner(network, voices, schedule, sizes_for(network, voices, slots))


@dataclass
class Speech:
    """One utterance to be said: `starts` steps after the bench does, its ids fed as `feeds` says."""

    opening: Opening
    ids: Sequence[int]
    max_length: int
    starts: int = 0
    feeds: int | None = None  # ids that come per step; None: all at once
    stop_after: int | None = None  # latents, then it is cancelled
    latents: list[Samples] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    progress: Progress | None = None
    given: int = 0  # ids that were fed
    cancelled: bool = False

    @property
    def over(self) -> bool:
        return self.cancelled or (self.progress is not None and self.progress.end is not None)

    @property
    def audio(self) -> Samples:
        return np.concatenate(self.latents)


class Bench:
    """Steps of a runner over all speeches that can run; slots are given in order of arrival and used again."""

    def __init__(self, runner: TorchRunner, speeches: Sequence[Speech], *, cap: bool = False) -> None:
        self.runner, self.speeches, self.cap = runner, speeches, cap
        self.seats: dict[int, Speech] = {}
        self.batches: list[list[Row]] = []

    def run(self, most_steps: int = 2_000) -> Bench:
        for step in range(most_steps):
            if all(speech.over for speech in self.speeches):
                return self
            self.step(step)
        raise AssertionError(f"not over after {most_steps} steps")

    def step(self, now: int) -> None:
        for speech in self.speeches:
            if speech.progress is None and now >= speech.starts:
                self._open(speech)
            elif speech.progress is not None and speech.feeds:
                self._feed(speech)
        rows = [
            Row(slot, s.progress.next_work()) for slot, s in self.seats.items() if s.progress and s.progress.runnable
        ]
        for row in rows:
            self.runner.prepare(row)
        for row, made in zip(rows, self.runner.step(rows) if rows else [], strict=True):
            speech = self.seats[row.slot]
            assert speech.progress is not None
            speech.progress.advance(row.work, ended=made.ended)
            speech.works.append(row.work)
            speech.latents += [] if made.samples is None else [made.samples]
            speech.cancelled = speech.stop_after is not None and len(speech.latents) >= speech.stop_after
            if speech.over:
                self.runner.close(row.slot)
                del self.seats[row.slot]
        self.batches.append(rows)

    def _open(self, speech: Speech) -> None:
        slot = min(set(range(self.runner.slots)) - set(self.seats))
        self.runner.reserve(slot)
        self.runner.open(slot, speech.opening)
        speech.progress = Progress(self.runner.prompt_positions(speech.opening.voice), speech.max_length, cap=self.cap)
        self.seats[slot] = speech
        self._feed(speech)

    def _feed(self, speech: Speech) -> None:
        progress = speech.progress
        assert progress is not None
        end = len(speech.ids) if speech.feeds is None else speech.given + speech.feeds
        progress.add(speech.ids[speech.given : end])
        speech.given = min(end, len(speech.ids))
        if speech.given == len(speech.ids):
            progress.end_text()


def recorded(
    start: Callable[[int], torch.Tensor], steps: Callable[[int], torch.Tensor | None]
) -> Callable[[int], Samples]:
    """Noise of a golden case as the runner wants it."""

    def noise(latent: int) -> Samples:
        first, more = start(latent)[None], steps(latent)
        return (first if more is None else torch.cat((first, more))).float().numpy()

    return noise
