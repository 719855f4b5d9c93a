"""Several calls at once, a full house, and a place that is free again."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from worker.bench.caller import calling
from worker.bench.invitation import Refused, invite
from worker.bench.scripted_llm import Reply, Request

MAX_CALLS = 3
TOLD = {
    "apples": "Apples grow on trees, and they are harvested in the autumn.",
    "horses": "Horses can sleep standing, and they eat grass and hay.",
    "trains": "Trains run on rails, and they stop at every station.",
}


def by_subject(request: Request) -> Reply:
    return Reply(next(answer for subject, answer in TOLD.items() if subject in request.user_text))


async def test_three_calls_at_once_each_hear_their_own_answer(stack, judge) -> None:
    stack.scripted.script = by_subject

    async def ask(subject: str) -> None:
        async with calling(stack.http_url) as caller:
            await caller.greeted()
            everyone_in.append(subject)
            await caller.until(lambda: len(everyone_in) == MAX_CALLS, "all three calls were up", deadline_s=30)
            sent_s = await caller.type(f"Tell me about {subject}.")
            first_s = await caller.heard_after(sent_s)
            await caller.over(first_s)
            heard[subject] = caller.hearing.samples(first_s - 0.2)

    everyone_in: list[str] = []
    heard: dict[str, object] = {}
    await asyncio.gather(*(ask(subject) for subject in TOLD))
    for subject, samples in heard.items():
        words = judge.words(samples)
        assert subject in words
        assert not any(other in words for other in TOLD if other != subject)


async def test_a_call_too_many_is_refused_clearly_until_somebody_hangs_up(stack) -> None:
    async with AsyncExitStack() as calls:
        callers = [await calls.enter_async_context(calling(stack.http_url)) for _ in range(MAX_CALLS)]
        await asyncio.gather(*(caller.agent() for caller in callers))
        with pytest.raises(Refused) as refused:
            await invite(stack.http_url)
        assert (refused.value.status, refused.value.code) == (503, "at_capacity")
        assert int(refused.value.retry_after) > 0
        await callers[0].hang_up()
        await within(5, lambda: stack.stack.free == 1)


async def test_places_that_were_just_freed_are_filled_at_once(stack) -> None:
    """LiveKit hears of a worker's free places late, and offers a call only once."""
    for _ in ("first", "second"):
        await within(10, lambda: stack.stack.free == MAX_CALLS)
        async with AsyncExitStack() as calls:
            callers = [await calls.enter_async_context(calling(stack.http_url)) for _ in range(MAX_CALLS)]
            await asyncio.gather(*(caller.agent() for caller in callers))


async def test_hanging_up_frees_the_place_within_five_seconds(stack) -> None:
    async with calling(stack.http_url) as caller:
        await caller.agent()
        await caller.until(lambda: stack.fleet()["active"] == 1, "the call held a place", deadline_s=5)
    await within(5, lambda: stack.fleet()["active"] == 0)


async def within(seconds: float, is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.05)
