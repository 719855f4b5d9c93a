"""Language models in order, over servers that fail: who is asked, when it is given up, what the breakers say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import NOT_GIVEN, llm
from livekit.plugins import openai
from turn_parts import ANSWER, FaultyLlm, faulty_llm

from worker.breaker import Breaker
from worker.llm_chain import LlmChain, LlmFailed, Model


@asynccontextmanager
async def chain_of(*servers: FaultyLlm, pause_s: float = 10.0) -> AsyncIterator[tuple[LlmChain, list[Any]]]:
    notes: list[Any] = []
    models = [
        Model(f"m{n}", openai.LLM(model="m", api_key="x", base_url=s.url), Breaker(pause_s=pause_s))
        for n, s in enumerate(servers)
    ]
    chain = LlmChain(models, first_s=1.0, stall_s=0.5, note=lambda name, **told: notes.append((name, told)))
    try:
        yield chain, notes
    finally:
        await chain.aclose()


async def ask(chain: LlmChain) -> str:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="When does the museum open?")
    async with asyncio.timeout(20):
        chunks = chain.answer(context, [], NOT_GIVEN)
        return "".join([c.delta.content async for c in chunks if c.delta and c.delta.content]).strip()


@pytest.mark.parametrize("fault", ["stall_before", "status_500", "reset", "garbage", "drip"])
async def test_the_next_model_answers_when_the_first_gives_no_word(fault: str) -> None:
    async with faulty_llm(always=fault) as bad, faulty_llm() as good, chain_of(bad, good) as (chain, _):
        assert await ask(chain) == ANSWER
        assert (bad.asked, good.asked) == (1, 1)


async def test_after_the_first_word_no_other_model_is_asked() -> None:
    async with faulty_llm(always="stall_in_the_middle") as bad, faulty_llm() as good, chain_of(bad, good) as (chain, n):
        with pytest.raises(LlmFailed) as failed:
            await ask(chain)
        assert failed.value.said
        assert good.asked == 0
        assert ("deadline", {"stage": "llm_stall"}) in n


async def test_the_only_model_is_asked_once_more_after_a_hiccup() -> None:
    async with faulty_llm("reset") as flaky, chain_of(flaky) as (chain, _):
        assert await ask(chain) == ANSWER
        assert flaky.asked == 2


async def test_a_silent_model_is_not_asked_twice() -> None:
    async with faulty_llm(always="stall_before") as silent, chain_of(silent) as (chain, _):
        with pytest.raises(LlmFailed):
            await ask(chain)
        assert silent.asked == 1


async def test_after_three_failures_nobody_waits_until_one_try_decides() -> None:
    async with faulty_llm("stall_before", "stall_before", "stall_before") as server:
        async with chain_of(server, pause_s=1.0) as (chain, notes):
            for _ in range(3):
                with pytest.raises(LlmFailed):
                    await ask(chain)
            began_s = time.monotonic()
            with pytest.raises(LlmFailed):
                await ask(chain)
            assert time.monotonic() - began_s < 0.5
            assert server.asked == 3
            await asyncio.sleep(1.0)
            assert await ask(chain) == ANSWER
            states = [told["state"] for name, told in notes if name == "breaker"]
            assert states == [2, 1, 0]


async def test_an_answer_that_is_not_waited_for_is_no_failure() -> None:
    async with faulty_llm(always="stall_before") as server, chain_of(server) as (chain, _):
        for _ in range(4):
            asking = asyncio.create_task(ask(chain))
            await asyncio.sleep(0.1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert chain.models[0].breaker.state(time.monotonic()) == "closed"
