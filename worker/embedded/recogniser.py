"""Runs the recogniser for all calls at once: a bound on the passes that run, and who goes first.

A pass that a caller waits for (`hear`) goes before everything; a look while the caller still speaks (`glance`) is
dropped when the machine is busy. Knows nothing of sockets or of where speech begins and ends.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from worker.embedded.moonshine import SAMPLE_RATE_HZ, Abandoned, Moonshine

WARM_UP_S = (1, 4)  # lengths of the passes that are run before the first call


@dataclass(frozen=True, slots=True)
class Heard:
    text: str
    tokens: tuple[int, ...]  # the draft of the next pass over the same segment
    compute_s: float


class RecogniserStatistics(NamedTuple):
    passes_total: int
    glances_dropped_total: int
    running: int
    compute_s_total: float


class Recogniser:
    def __init__(self, model: Moonshine | None = None, *, workers: int | None = None) -> None:
        self._model = model or Moonshine()
        workers = workers or max(2, min(8, (os.cpu_count() or 2) // 2))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="recogniser")
        self._free = asyncio.Semaphore(workers)  # first come, first served
        self._glancing = False  # at most one glance at a time: the other threads stay free for finals
        self._passes = self._dropped = 0
        self._began: dict[int, float] = {}  # monotonic seconds of each pass that runs
        self._numbers = itertools.count()
        self._compute_s = 0.0

    def warm(self) -> None:
        """Blocks for about 0.3 s."""
        for seconds in WARM_UP_S:
            self._model.transcribe(np.zeros(seconds * SAMPLE_RATE_HZ, np.float32))

    async def hear(self, pcm: bytes, draft: tuple[int, ...] = ()) -> Heard:
        """What is said in `pcm` (pcm_s16le, 16 kHz, mono). Waits for its turn."""
        async with self._free:
            return await self._pass(pcm, draft, lambda: False)

    async def glance(self, pcm: bytes, draft: tuple[int, ...], abandoned: threading.Event) -> Heard | None:
        """As `hear`, but None when there is no room now or `abandoned` is set on the way."""
        if self._glancing or self._free.locked():
            self._dropped += 1
            return None
        self._glancing = True
        try:
            async with self._free:
                return await self._pass(pcm, draft, abandoned.is_set)
        except Abandoned:
            self._dropped += 1
            return None
        finally:
            self._glancing = False

    def statistics(self) -> RecogniserStatistics:
        return RecogniserStatistics(self._passes, self._dropped, len(self._began), self._compute_s)

    @property
    def longest_pass_s(self) -> float:
        """How long the oldest pass that runs has been running; 0 when none does."""
        return time.monotonic() - min(self._began.values()) if self._began else 0.0

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _pass(self, pcm: bytes, draft: tuple[int, ...], abandoned: Callable[[], bool]) -> Heard:
        number = next(self._numbers)
        self._began[number] = time.monotonic()
        try:
            heard = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, pcm, draft, abandoned)
        finally:
            del self._began[number]
        self._passes += 1
        self._compute_s += heard.compute_s
        return heard

    def _run(self, pcm: bytes, draft: tuple[int, ...], abandoned: Callable[[], bool]) -> Heard:
        started = time.perf_counter()
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32768)
        tokens = self._model.transcribe(samples, draft, abandoned)
        return Heard(self._model.text(tokens), tuple(tokens), time.perf_counter() - started)
