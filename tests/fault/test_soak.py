"""A call of many turns, a fifth of them broken off: no process grows, and no descriptor or thread stays behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import psutil
import pytest
from fault_rig import Rig, answers, speaking

from tts_plugin.client import EngineClient
from worker.bench.cluster import job_processes
from worker.bench.program import Program

WARM = 0.4  # of the turns: caches fill, the history grows to its bound
MB_PER_100_TURNS = 1.0
SLACK = 2
WARMING = 300  # utterances
ANSWERS = ("Yes, it is.", "No, not today.", "At nine, I think.", "You are welcome.")


@dataclass(slots=True)
class Watched:
    """One process over the turns."""

    process: psutil.Process
    rss_mb: list[float] = field(default_factory=list)
    program: Program | None = None  # whose /metrics tells its event loop's tasks
    handles: list[tuple[int, int, int]] = field(default_factory=list)  # descriptors, threads, tasks

    def look(self) -> None:
        with self.process.oneshot():
            self.rss_mb.append(self.process.memory_full_info().uss / 1e6)
            tasks = int(self.program.metric("voice_tasks ") + self.program.metric("tts_tasks ")) if self.program else 0
            self.handles.append((self.process.num_fds(), self.process.num_threads(), tasks))

    def slope(self) -> float:
        """MB per 100 turns after the warm-up."""
        rest = self.rss_mb[int(WARM * len(self.rss_mb)) :]
        return 100 * float(np.polyfit(np.arange(len(rest)), rest, 1)[0])

    def grown(self) -> tuple[int, int, int]:
        """Descriptors, threads and tasks more at the end than when it was warm."""
        warm, end = self.handles[int(WARM * len(self.handles))], self.handles[-1]
        return end[0] - warm[0], end[1] - warm[1], end[2] - warm[2]


async def warm(engine_url: str) -> None:
    """The embedded voice's runtime keeps memory for each length of text it has met, until it has met most."""
    client = EngineClient(engine_url)
    for number in range(WARMING):
        utterance = await client.say(klass="call")
        utterance.feed(f"{ANSWERS[number % len(ANSWERS)]} That was number {number}." + number % 12 * " And on.")
        utterance.end()
        async for _ in utterance:
            pass
    await client.aclose()


@pytest.mark.parametrize("turns", [pytest.param(30, marks=pytest.mark.long), pytest.param(300, marks=pytest.mark.soak)])
@pytest.mark.timeout(2400, method="signal")
async def test_a_long_call_leaves_nothing_behind(rig: Rig, turns: int) -> None:
    await warm(rig.cluster.engines[0].url)
    async with rig.call() as caller:
        worker = rig.cluster.worker_of(caller.invitation.room)
        (job,) = job_processes(worker)
        watched = {
            "job": Watched(job),
            "worker": Watched(worker.members()[0], program=worker),
            **{
                p.name: Watched(p.members()[0], program=p)
                for p in (rig.cluster.engines[0], rig.cluster.models, rig.cluster.serve)
            },
        }
        for turn in range(turns):
            if turn % 5 == 4:
                await speaking(rig, caller, into_s=0.3)
                await caller.interrupt()
                await caller.quiet()
            else:
                await answers(rig, caller, f"{ANSWERS[turn % len(ANSWERS)]} That was number {turn}.")
            for one in watched.values():
                one.look()
        for name, one in watched.items():
            fds, threads, tasks = one.grown()
            slope = round(one.slope(), 2)
            print(
                f"{name}: {slope:+.2f} MB per 100 turns, {one.rss_mb[-1]:.0f} MB, {fds:+d} fds, {threads:+d} threads, "
                f"{tasks:+d} tasks"
            )
            rig.record(f"soak {name} mb_per_100_turns", slope)
        assert {n: w.grown() for n, w in watched.items() if max(w.grown()) > SLACK} == {}
        if turns >= 100:
            assert {n: w.slope() for n, w in watched.items() if w.slope() >= MB_PER_100_TURNS} == {}
        assert sum(engine.metric("tts_active_utterances") for engine in rig.cluster.engines) == 0
    rig.reset()  # every place is free again
