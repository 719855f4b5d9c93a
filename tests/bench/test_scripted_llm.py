"""The scripted language model speaks the real protocol: here OpenAI's own client talks to it."""

import asyncio
from collections.abc import Iterator

import openai
import pytest

from worker.bench.scripted_llm import Reply, ScriptedLlm, deltas_of, scripted_llm

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How are you?"}]


@pytest.fixture
def llm() -> Iterator[ScriptedLlm]:
    with scripted_llm() as server:
        yield server


@pytest.fixture
async def client(llm: ScriptedLlm):
    async with openai.AsyncOpenAI(base_url=llm.url, api_key="none", max_retries=0, timeout=5) as client:
        yield client


async def stream(client: openai.AsyncOpenAI, **options):
    return await client.chat.completions.create(model="default", messages=ASK, stream=True, **options)


async def test_a_streamed_answer_is_the_scripted_text(llm, client) -> None:
    llm.answer("I am quite well, thank you.")
    pieces = [c.choices[0].delta.content or "" async for c in await stream(client)]
    assert len(pieces) > 3
    assert "".join(pieces) == "I am quite well, thank you."


async def test_a_whole_answer_is_the_scripted_text(llm, client) -> None:
    llm.answer("I am quite well.")
    answer = await client.chat.completions.create(model="default", messages=ASK)
    assert answer.choices[0].message.content == "I am quite well."


async def test_deltas_come_at_the_given_pace(llm, client) -> None:
    llm.answer("one two three four five six seven eight nine ten", ttft_s=0.1, tokens_per_s=30)
    [_ async for _ in await stream(client)]
    (request,) = llm.requests
    assert request.first_delta_s - request.received_s >= 0.1
    assert request.last_delta_s - request.first_delta_s >= 9 / 30 - 0.02


async def test_usage_comes_when_it_is_asked_for(llm, client) -> None:
    chunks = [c async for c in await stream(client, stream_options={"include_usage": True})]
    assert chunks[-1].usage.completion_tokens > 0


async def test_max_tokens_cuts_the_answer(llm, client) -> None:
    llm.answer("one two three")
    pieces = [c.choices[0].delta.content or "" async for c in await stream(client, max_tokens=2) if c.choices]
    assert "".join(pieces) == "one two"


async def test_an_answer_that_nobody_waits_for_is_abandoned(llm, client) -> None:
    llm.answer("word " * 500)
    answer = await stream(client)
    await anext(aiter(answer))
    await answer.close()
    (request,) = llm.requests
    async with asyncio.timeout(3):
        while not request.abandoned:
            await asyncio.sleep(0.01)
    assert not request.finished


async def test_the_script_sees_what_the_user_said(llm, client) -> None:
    llm.script = lambda request: Reply(f"You said: {request.user_text}")
    pieces = [c.choices[0].delta.content or "" async for c in await stream(client)]
    assert "".join(pieces) == "You said: How are you?"


async def test_requests_are_found_by_the_users_words(llm, client) -> None:
    [_ async for _ in await stream(client)]
    assert len(llm.asked("how are")) == 1
    assert llm.asked("who") == []


def test_deltas_put_together_are_the_text() -> None:
    text = "Extraordinary things, happen: all the time.\n"
    assert "".join(deltas_of(text)) == text.rstrip()
