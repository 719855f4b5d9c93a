"""A job or a whole worker dies or freezes in mid call: another agent goes on in the same room, with the history."""

from __future__ import annotations

import signal
import time

import pytest
from fault_rig import Rig, agents, answers, speaking

from worker.bench.caller import Caller
from worker.bench.cluster import job_processes, wait_for

KILLED_S, FROZEN_S, WORKER_S = 3.0, 8.0, 5.0


async def lose(rig: Rig, caller: Caller, into_s: float, how: str) -> tuple[float, str]:
    """The agent is lost while it speaks (0: while it listens). When, and who it was."""
    (first,) = agents(caller)
    worker = rig.cluster.worker_of(caller.invitation.room)
    (job,) = job_processes(worker)
    if into_s:
        await speaking(rig, caller, into_s=into_s)
    lost_s = time.monotonic()
    if how == "worker":
        worker.kill()
    else:
        job.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
    return lost_s, first


async def silence_until_the_next_agent(caller: Caller, lost_s: float, first: str) -> float:
    """The longest one from the loss until the successor has said that it is there."""
    await caller.until(lambda: [a for a in agents(caller) if a != first] or None, "another agent came", deadline_s=25)
    await caller.heard_after(time.monotonic(), deadline_s=25)
    last_s = await caller.quiet()
    return caller.hearing.longest_silence(lost_s, last_s)


@pytest.mark.parametrize(
    ("how", "into_s", "promise_s"),
    [
        ("killed", 1.0, KILLED_S),
        pytest.param("killed", 0.0, KILLED_S, marks=pytest.mark.long),
        pytest.param("killed", 3.5, KILLED_S, marks=pytest.mark.long),
        ("frozen", 1.0, FROZEN_S),
        pytest.param("frozen", 0.0, FROZEN_S, marks=pytest.mark.long),
        ("worker", 1.0, WORKER_S),
        pytest.param("worker", 0.0, WORKER_S, marks=pytest.mark.long),
    ],
)
async def test_a_lost_agent_is_replaced_and_its_call_goes_on(
    rig: Rig, how: str, into_s: float, promise_s: float
) -> None:
    async def attempt() -> float:
        async with rig.call() as caller:
            await answers(rig, caller, "The gate is open.")
            ghosts = rig.cluster.serve.metric("voice_ghosts_removed_total")
            lost_s, first = await lose(rig, caller, into_s, how)
            silence_s = await silence_until_the_next_agent(caller, lost_s, first)
            assert len(agents(caller)) == 1
            assert first not in agents(caller)
            assert rig.cluster.serve.metric("voice_ghosts_removed_total") == ghosts + 1
            await answers(rig, caller, "It closes at six.")
            said = [str(message["content"]) for message in rig.llm.requests[-1].messages]
            assert sum("Is the gate open?" in text for text in said) == 2, said  # before it was lost, and now
            assert any("The gate is open." in text for text in said), said
            return silence_s

    await rig.row(f"{how} {into_s:g} s into an answer", promise_s, attempt)


@pytest.mark.long
async def test_a_room_waits_for_workers_that_are_all_gone(rig: Rig) -> None:
    async def attempt() -> float:
        async with rig.call() as caller:
            first = agents(caller)[0]
            for worker in rig.cluster.workers:
                worker.kill()
            wait_for(lambda: rig.cluster.serve.ask("/token", {})[0] == 503, "/token refused", 5)
            back = rig.cluster.workers[0]
            back.start()
            await caller.until(lambda: back.is_ready or None, "a worker registered", deadline_s=60)
            registered_s = time.monotonic()
            assert not [a for a in agents(caller) if a != first]
            await caller.until(lambda: [a for a in agents(caller) if a != first] or None, "an agent", deadline_s=20)
            heard_s = await caller.heard_after(registered_s, deadline_s=20)
            await caller.quiet()
            await answers(rig, caller)
            return heard_s - registered_s

    await rig.row("all workers gone, one back: from its registration", 2.0, attempt)
