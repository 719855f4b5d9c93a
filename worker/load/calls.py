"""`tts-ops load calls`: many callers at once, who come when they are due and talk until their time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from worker.bench.speech import QUESTIONS, speak
from worker.load.footprint import Footprint, Watch
from worker.load.one_call import Heard, Manner, Talk, call

OVERTIME_S = 60.0  # after the last caller's time, for what is still being said
PROGRESS_S = 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """`rooms` callers, evenly within `ramp_s`; each stays for `duration_s`."""

    url: str
    rooms: int
    duration_s: float
    ramp_s: float
    talk: Talk = "text"
    interrupt_every: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    wanted: Wanted
    heard: tuple[Heard, ...]
    took_s: float
    peak: int
    footprint: Footprint
    client_cores: float


async def offer(wanted: Wanted, progress: Callable[[str], None] = lambda _: None) -> Run:
    questions = tuple([await speak(wanted.url, q) for q in QUESTIONS[:6]]) if wanted.talk == "speech" else ()
    manner = Manner(wanted.duration_s, wanted.talk, questions, interrupt_every=wanted.interrupt_every)
    plan = [wanted.ramp_s * number / wanted.rooms for number in range(wanted.rooms)]
    heard = [Heard(at_s) for at_s in plan]
    watch = await asyncio.to_thread(Watch)
    cpu, began = psutil.Process().cpu_times(), time.monotonic()
    tasks = [
        asyncio.create_task(_when_due(wanted.url, began + one.due_s, manner, one), name=f"caller-{number}")
        for number, one in enumerate(heard)
    ]
    peak = await _accompany(tasks, heard, wanted, began, watch, progress)
    took_s, now = time.monotonic() - began, psutil.Process().cpu_times()
    footprint = await asyncio.to_thread(watch.result)
    cores = (now.user + now.system - cpu.user - cpu.system) / took_s
    return Run(wanted, tuple(heard), took_s, peak, footprint, cores)


async def _when_due(url: str, due_at: float, manner: Manner, heard: Heard) -> None:
    await asyncio.sleep(max(0.0, due_at - time.monotonic()))
    await call(url, due_at, manner, heard)


async def _accompany(
    tasks: Sequence[asyncio.Task[None]],
    heard: Sequence[Heard],
    wanted: Wanted,
    began: float,
    watch: Watch,
    progress: Callable[[str], None],
) -> int:
    """Until all are over, or their time is up by far. Gives the most that were in a call at once."""
    peak, until = 0, began + wanted.ramp_s + wanted.duration_s + OVERTIME_S
    while pending := [task for task in tasks if not task.done()]:
        if time.monotonic() > until:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            for task, one in zip(tasks, heard, strict=True):
                one.outcome = "not_over" if task.cancelled() else one.outcome
            break
        await asyncio.wait(pending, timeout=PROGRESS_S)
        calling = sum(one.join_s is not None and not task.done() for task, one in zip(tasks, heard, strict=True))
        peak = max(peak, calling)
        await asyncio.to_thread(watch.look, calling)  # the callers' microphones go on meanwhile
        progress(f"{time.monotonic() - began:.0f} s: {calling} are in a call, {len(tasks) - len(pending)} are over")
    return peak
