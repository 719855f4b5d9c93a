"""Callers who vanish in mid speech, one after the other: every slot comes back at once, and nothing is left of them."""

from __future__ import annotations

import asyncio
import time

import pytest
from fault_rig import Rig, speaking

from worker.bench.cluster import wait_for
from worker.bench.program import Program

FREE_S = 0.3
KEPT_OPEN_S = 45.0  # connections between our own processes are kept for the next request, for half a minute at most


def footprint(program: Program) -> dict[str, int]:
    own, *children = program.members()
    tasks = int(program.metric("voice_tasks ") + program.metric("tts_tasks "))
    return {"processes": len(children), "fds": own.num_fds(), "threads": own.num_threads(), "tasks": tasks}


@pytest.mark.parametrize(
    "calls", [4, pytest.param(40, marks=pytest.mark.long), pytest.param(200, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(2400, method="signal")
async def test_callers_who_vanish_leave_nothing(rig: Rig, calls: int) -> None:
    async with rig.call() as caller:  # what is opened once is no leak
        await speaking(rig, caller, into_s=0.2)
    rig.reset()
    watched = (*rig.cluster.engines, *rig.cluster.workers, rig.cluster.serve, rig.cluster.models)
    settled(rig)
    before = {p.name: footprint(p) for p in watched}

    async def attempt() -> float:
        took = []
        for _ in range(calls):
            async with rig.call() as caller:
                await speaking(rig, caller, into_s=0.3)
                assert active(rig) == 1
                left = asyncio.create_task(caller._room.disconnect())
                left_s = time.monotonic()
                await asyncio.to_thread(wait_for, lambda: active(rig) == 0, "the engine's slot is free", 5)
                took.append(time.monotonic() - left_s)
                await left
        print(
            f"{calls} callers vanished: slot free after {sorted(took)[len(took) // 2]:.2f} s, at most {max(took):.2f}"
        )
        return sorted(took)[int(0.95 * (len(took) - 1))]

    await rig.row(f"{calls} callers vanish: slot free (p95)", FREE_S, attempt)
    rig.reset()
    settled(rig)

    def grown() -> dict[str, str]:
        return {
            f"{program.name} {what}": f"{before[program.name][what]} -> {count}"
            for program in watched
            for what, count in footprint(program).items()
            if count > before[program.name][what] + 2
        }

    until = time.monotonic() + KEPT_OPEN_S
    while (left := grown()) and time.monotonic() < until:
        await asyncio.sleep(1)
    assert not left


def active(rig: Rig) -> float:
    return sum(engine.metric("tts_active_utterances") for engine in rig.cluster.engines)


def settled(rig: Rig) -> None:
    """As many job processes as there were at first: the spare ones are made anew after a call."""

    def count() -> list[int]:
        return [len(worker.members()) for worker in rig.cluster.workers]

    last, since = count(), time.monotonic()

    def is_settled() -> bool:
        nonlocal last, since
        if (now := count()) != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 2.0

    wait_for(is_settled, "the job processes are ready again", 30)
