"""The language model stalls, drips, breaks or answers nonsense: no long silence, and the next turn is good."""

from __future__ import annotations

import time

import pytest
from fault_rig import Rig, answers, breaker

from worker.bench.fault_proxy import Fault
from worker.bench.scripted_llm import Reply

SILENCE_S = 3.0
STORY = Reply("The kitchen opens at seven, and the garden is closed today. Would you like a table?", tokens_per_s=20)
MIDDLE, END = 2_000, 3_500  # bytes: the headers and eight or so of 18 pieces; all but two or so
long = pytest.mark.long
FAULTS = {
    "stall before the answer": Fault("stall"),
    "stall in the middle": Fault("stall", after=MIDDLE),
    "stall near the end": Fault("stall", after=END),
    "drip from the start": Fault("drip"),
    "drip in the middle": Fault("drip", after=MIDDLE),
    "500": Fault("status", status=500),
    "503": Fault("status", status=503),
    "429": Fault("status", status=429),
    "reset": Fault("reset"),
    "reset in the middle": Fault("reset", after=MIDDLE),
    "cut in the middle": Fault("cut", after=MIDDLE),
    "garbage": Fault("garbage"),
    "garbage in the middle": Fault("garbage", after=MIDDLE),
}
SHORT = {"stall before the answer", "stall in the middle", "drip in the middle"}


@pytest.mark.parametrize("fault", [pytest.param(f, marks=() if f in SHORT else long) for f in FAULTS])
async def test_a_failing_model_leaves_no_silence_and_the_next_turn_is_normal(rig: Rig, fault: str) -> None:
    async def attempt() -> float:
        async with rig.call() as caller:
            rig.llm.script = lambda _: STORY
            struck, rig.proxy.fault = rig.proxy.struck, FAULTS[fault]
            asked_s = await caller.type("When does the kitchen open?")
            await caller.heard_after(asked_s, deadline_s=20)
            last_s = await caller.quiet(for_s=1.0)
            said = " ".join(caller.agent_text)
            assert rig.proxy.struck > struck, "nothing went wrong"
            rig.proxy.heal()
            assert "something went wrong" in said, said
            await answers(rig, caller)
            return caller.hearing.longest_silence(asked_s, last_s)

    await rig.row(f"model: {fault}", SILENCE_S, attempt)


async def test_the_breaker_opens_after_three_failures_and_closes_again(rig: Rig) -> None:
    async with rig.call() as caller:
        worker = rig.cluster.worker_of(caller.invitation.room)
        rig.proxy.fault = Fault("status", status=500)
        for number in range(3):
            asked_s = await caller.type(f"Question {number}?")
            await caller.heard_after(asked_s)
            await caller.quiet()
            if breaker(worker) == 2:  # a question is tried twice where nobody else is left to ask
                break
        await caller.until(lambda: breaker(worker) == 2 or None, "the breaker opened", deadline_s=10)
        asked, opened_s = rig.proxy.asked, time.monotonic()
        heard_s = await caller.heard_after(await caller.type("And now?"))
        await caller.quiet()
        assert rig.proxy.asked == asked, "an open breaker asks nobody"
        print(f"breaker open: the apology after {heard_s - opened_s:.2f} s")
        rig.proxy.heal()
        await caller.until(lambda: time.monotonic() > opened_s + 11 or None, "it half-opens", deadline_s=20)
        await answers(rig, caller)
        await caller.until(lambda: breaker(worker) == 0 or None, "the breaker closed", deadline_s=10)
