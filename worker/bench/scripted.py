"""Scenarios in which the language model's words and pace are given: typed text, and barge-in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from itertools import cycle, islice

from worker.bench.caller import Caller, calling
from worker.bench.figures import Figure, Result
from worker.bench.scripted_llm import Reply, ScriptedLlm
from worker.bench.speech import BARGE_IN, speak
from worker.bench.spoken import Progress

ANSWERS = (
    "The library opens at nine in the morning and closes at six.",
    "Yes, of course, I can help you with that right away.",
    "There are two trains today, one at noon and one in the evening.",
    "I am sorry to hear that your parcel has not arrived yet.",
    "Paris is the capital of France, and it lies on the river Seine.",
)
LONG = Reply(
    "I will now tell you the long story of the old town at the river where many people lived and worked and sang "
    "and traded in wool and salt and glass for more than a thousand years before the railway came and brought "
    "visitors from every part of the country who wanted to see the famous bridge and the tall tower of the church."
)
AFTERWARDS = Reply("All right, I am listening.", ttft_s=1.2)  # late enough to tell the old answer's end from its start
INTO_THE_ANSWER_S = 1.2
SOUNDING_S = 0.03  # audible this recently: in the middle of a sound, not in a pause between two words

Deed = Callable[[Caller], Awaitable[float]]


async def text(http_url: str, llm: ScriptedLlm, turns: int, progress: Progress) -> Result:
    """Typed text sent → first audible frame, with a language model of TTFT 50 ms and 60 tokens/s."""
    heard: list[float] = []
    async with calling(http_url) as caller:
        await caller.greeted()
        for number, answer in enumerate(islice(cycle(ANSWERS), turns), 1):
            llm.answer(answer)
            sent_s = await caller.type(f"Question number {number}, please.")
            first_s = await caller.heard_after(sent_s)
            heard.append(first_s - sent_s)
            progress(f"{number}/{turns} heard after {heard[-1]:.2f} s: {answer}")
            await caller.over(first_s)
    figure = Figure("text sent → first audible frame (scripted LLM: 50 ms, 60 tokens/s)", tuple(heard), "p50 ≤ 0.30 s")
    return Result("text", [figure])


async def barge_in(http_url: str, llm: ScriptedLlm, turns: int, progress: Progress) -> Result:
    """The user speaks, types or presses the button over the agent → the last audible sample of the old answer."""
    pcm = (await speak(http_url, BARGE_IN)).pcm

    async def by_voice(caller: Caller) -> float:
        return (await caller.say(pcm)).first_s

    async def by_text(caller: Caller) -> float:
        return await caller.type("Stop, please.")

    ways: dict[str, tuple[Deed, str]] = {
        "by voice": (by_voice, "p50 ≤ 0.35 s"),
        "by typed text": (by_text, "p50 ≤ 80 ms"),
        "by button": (Caller.interrupt, "p50 ≤ 80 ms"),
    }
    result = Result("barge-in")
    async with calling(http_url) as caller:
        await caller.greeted()
        for way, (deed, reach) in ways.items():
            took = [await _stop_once(caller, llm, deed, i) for i in _counted(turns, way, progress)]
            result.figures.append(Figure(f"barge-in {way} → silence at the caller", tuple(took), reach))
    return result


def _counted(turns: int, way: str, progress: Progress) -> range | list[int]:
    progress(f"barge-in {way}: {turns} times")
    return range(turns)


async def _stop_once(caller: Caller, llm: ScriptedLlm, deed: Deed, number: int) -> float:
    llm.script = lambda _: LONG
    asked_s = await caller.type("Tell me a long story.")
    heard_s = await caller.heard_after(asked_s)
    llm.script = lambda _: AFTERWARDS
    at_s = heard_s + INTO_THE_ANSWER_S + 0.13 * (number % 7)  # at another sound each time
    await caller.until(
        lambda: time.monotonic() >= at_s and time.monotonic() - (caller.hearing.last_audible() or 0) < SOUNDING_S,
        "the agent was in the middle of its answer",
        deadline_s=10.0,
    )
    begun_s = await deed(caller)
    ended_s = await caller.end_of_sound(begun_s)
    await caller.quiet(for_s=1.0)
    return ended_s - begun_s
