"""The first steps, before anybody waits for them: they load kernels and show how many rows run in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tts_plugin.engine.runner import Opening, Row, Runner
from tts_plugin.engine.utterance import TEXT_WINDOW, Progress

REAL_TIME_SHARE = 0.8  # of a latent's 133 ms that a step may take
_STEPS = 3  # a text window with a latent, and two latents fed back


class Pace(NamedTuple):
    """What a step took, in seconds; `rows`: how many run in real time, at least 1."""

    rows: int
    one_row_s: float
    all_rows_s: float
    latent_s: float

    @property
    def real_time(self) -> bool:
        return self.one_row_s <= REAL_TIME_SHARE * self.latent_s


def warm_up(runner: Runner, clock: Callable[[], float] = time.perf_counter) -> Pace:
    """Runs 1, 2, 4, … rows until they are too slow or all slots are taken."""
    latent_s = runner.samples_per_latent / runner.sample_rate_hz
    sizes = [size for size in (2**n for n in range(runner.slots.bit_length())) if size < runner.slots] + [runner.slots]
    fitting, took, one = 0, 0.0, 0.0
    for size in sizes:
        seconds = _measure(runner, size, clock)
        one = one or seconds
        if fitting and seconds > REAL_TIME_SHARE * latent_s:
            break
        fitting, took = size, seconds
        if seconds > REAL_TIME_SHARE * latent_s:
            break
    return Pace(fitting, one, took, latent_s)


def _measure(runner: Runner, rows: int, clock: Callable[[], float]) -> float:
    """The best of the steps that are not the first."""
    with _seated(runner, rows) as progress:
        times = []
        for _ in range(_STEPS):
            batch = [Row(slot, one.next_work()) for slot, one in progress.items() if one.end is None]
            for row in batch:
                runner.prepare(row)
            started = clock()
            made = runner.step(batch)
            times.append(clock() - started)
            for row, result in zip(batch, made, strict=True):
                progress[row.slot].advance(row.work, ended=result.ended)
            if any(result.ended for result in made):
                break
        return min(times[1:] or times)


@contextmanager
def _seated(runner: Runner, rows: int) -> Iterator[dict[int, Progress]]:
    voice, progress = runner.voices[0], {}
    try:
        for slot in range(rows):
            runner.reserve(slot)
            runner.open(slot, Opening(voice, slot, 1.5))
            progress[slot] = Progress(runner.prompt_positions(voice), runner.max_positions)
            progress[slot].add(range(TEXT_WINDOW))
            progress[slot].end_text()
        yield progress
    finally:
        for slot in range(rows):
            runner.close(slot)
