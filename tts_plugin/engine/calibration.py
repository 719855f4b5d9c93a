"""The first steps, before anybody waits for them: they load kernels and show what a step of so many rows takes.

Other processes that start at the same time make steps look slow. Each size is measured several times and the middle
counts; where the middle is far above the best, the machine was busy, and the size is measured again a little later.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tts_plugin.engine.capacity import Measured
from tts_plugin.engine.runner import Opening, Row, Runner
from tts_plugin.engine.utterance import TEXT_WINDOW, Progress

_REPEATS = 5
_BUSY = 1.4  # middle ÷ best above which a measurement is not believed
_RETRIES = 3
_PAUSE_S = 1.0
_LATENTS_PER_WINDOW = 6

logger = logging.getLogger(__name__)


def calibrate(
    runner: Runner,
    limit_s: float,
    *,
    share: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Measured]:
    """Doubles the rows until a step takes longer than limit_s, then looks once in between. By rows, upwards.

    `share`: of the machine that the engine will have when calls are under way, 0 … 1; times are divided by it.
    """
    measured: list[Measured] = []
    _step_times(runner, 1, clock)  # the first steps of all load kernels
    rows = 1
    while True:
        measured.append(_measure(runner, rows, share, clock, sleep))
        if measured[-1].seconds > limit_s or rows == runner.slots:
            break
        rows = min(2 * rows, runner.slots)
    if len(measured) > 1 and measured[-1].seconds > limit_s:
        between = (measured[-2].rows + measured[-1].rows) // 2
        if between > measured[-2].rows:
            measured.insert(-1, _measure(runner, between, share, clock, sleep))
    return measured


def _measure(
    runner: Runner, rows: int, share: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Measured:
    seconds = float("inf")
    for retry in range(_RETRIES):
        with_text, plain = _step_times(runner, rows, clock)
        middle = statistics.median(plain)
        seconds = min(seconds, (with_text + (_LATENTS_PER_WINDOW - 1) * middle) / _LATENTS_PER_WINDOW)
        if middle <= _BUSY * min(plain):
            break
        logger.info("the machine is busy: a step of %d rows is measured again", rows)
        if retry < _RETRIES - 1:
            sleep(_PAUSE_S)
    return Measured(rows, seconds / share)


def _step_times(runner: Runner, rows: int, clock: Callable[[], float]) -> tuple[float, list[float]]:
    """Of a step that reads a text window, and of steps that only speak. An utterance that ends starts anew."""
    times: list[float] = []
    with _seated(runner, rows) as progress:
        for _ in range(1 + _REPEATS):
            batch = [Row(slot, one.next_work()) for slot, one in progress.items()]
            for row in batch:
                runner.prepare(row)
            started = clock()
            made = runner.step(batch)
            times.append(clock() - started)
            for row, result in zip(batch, made, strict=True):
                progress[row.slot].advance(row.work, ended=result.ended)
                if progress[row.slot].end is not None:
                    progress[row.slot] = _reopened(runner, row.slot)
    return times[0], times[1:]


@contextmanager
def _seated(runner: Runner, rows: int) -> Iterator[dict[int, Progress]]:
    try:
        yield {slot: _opened(runner, slot) for slot in range(rows)}
    finally:
        for slot in range(rows):
            runner.close(slot)


def _reopened(runner: Runner, slot: int) -> Progress:
    runner.close(slot)
    return _opened(runner, slot)


def _opened(runner: Runner, slot: int) -> Progress:
    voice = runner.voices[0]
    runner.reserve(slot)
    runner.open(slot, Opening(voice, slot, 1.5))
    progress = Progress(runner.prompt_positions(voice), runner.max_positions)
    progress.add(range(TEXT_WINDOW))
    progress.end_text()
    return progress
