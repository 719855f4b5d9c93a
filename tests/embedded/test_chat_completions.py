"""The small language model behind OpenAI's routes."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import aiohttp
import pytest

from worker.embedded.llm import MAX_WAITING, SLOTS
from worker.embedded.server import Models

DEADLINE_S = 60
QUESTIONS = (
    "What is the capital of France?",
    "How many days are there in one week?",
    "What colour is the sky?",
    "Tell me something about dogs.",
    "What is two plus two?",
    "Why is the sea salty?",
    "Where is London?",
    "Could you tell me a short story?",
)
INSTRUCTIONS = "You are a helpful voice assistant on a phone call. Answer in one short and simple sentence."


def chat(text: str, **options: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}]
    return {"model": "whatever", "messages": messages, **options}


async def post(url: str, body: Any) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/v1/chat/completions", data=data) as response:
            return response.status, await response.json()


async def stream(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{url}/v1/chat/completions", json=body | {"stream": True}) as response:
            assert response.status == 200
            lines = [line async for line in response.content if line.startswith(b"data: ")]
    assert lines[-1] == b"data: [DONE]\n"
    return [json.loads(line[6:]) for line in lines[:-1]]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_the_answer_comes_in_deltas(models_url: str) -> None:
    chunks = await stream(models_url, chat("What colour is the sky?", seed=1))
    assert sum(bool(text_of([chunk])) for chunk in chunks) >= 3
    assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert {chunk["model"] for chunk in chunks} == {"whatever"}


async def test_the_whole_answer_is_that_of_the_stream(models_url: str) -> None:
    body = chat("What colour is the sky?", temperature=0, prompt_cache_key="same")
    streamed = text_of(await stream(models_url, body))
    status, whole = await post(models_url, body)
    assert status == 200
    assert whole["choices"][0]["message"]["content"] == streamed


async def test_conversations_at_once_are_each_answered(models_url: str) -> None:
    questions = ("What colour is the sky?", "Tell me about dogs.", "How are you?")
    answers = await asyncio.gather(*(stream(models_url, chat(q, max_tokens=20)) for q in questions))
    assert all(text_of(answer).strip() for answer in answers)


async def test_a_conversation_finds_its_prompt_cache_again_after_another_spoke(models_url: str) -> None:
    async def cached(key: str, text: str) -> int:
        _, answer = await post(models_url, chat(text, max_tokens=1, prompt_cache_key=key))
        return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])

    mine = "I have a question about the opening hours of the museum of modern art in the old town"
    first = await cached("mine", mine)
    await cached("other", "Something else that is quite different from what the first caller asked about")
    assert await cached("mine", f"{mine}, please.") >= first + 15


async def test_answers_are_english_and_speakable_in_a_long_conversation(models_url: str) -> None:
    messages = [{"role": "system", "content": INSTRUCTIONS}]
    answers = []
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        status, answer = await post(models_url, {"messages": messages, "prompt_cache_key": "long"})
        assert status == 200
        answers.append(answer["choices"][0]["message"]["content"])
        messages.append({"role": "assistant", "content": answers[-1]})
    assert all(re.fullmatch(r"[A-Za-z0-9 ,.?!';:-]+", answer) for answer in answers)
    assert "Paris" in answers[0]
    assert "blue" in answers[2]
    assert len(set(answers)) >= len(QUESTIONS) - 1, answers


async def test_an_answer_ends_with_a_sentence_once_half_its_length_is_passed(models_url: str) -> None:
    chunks = await stream(models_url, chat("Tell me a long story about dogs and cats.", max_tokens=200, temperature=0))
    answer = text_of(chunks)
    assert answer.rstrip()[-1] in ".!?…"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_reader_who_hangs_up_stops_the_model(models: Models, models_url: str) -> None:
    aborted = models.language_model.statistics().aborted_total
    async with aiohttp.ClientSession() as session:
        body = chat("Tell me a very long story.", stream=True, max_tokens=1000, stop=["never said"])
        async with session.post(f"{models_url}/v1/chat/completions", json=body) as response:
            await response.content.readline()
            response.close()
    deadline = time.monotonic() + DEADLINE_S
    while models.language_model.statistics().active:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert models.language_model.statistics().aborted_total == aborted + 1


async def test_more_than_it_can_hold_is_refused_at_once(models_url: str) -> None:
    one_too_many = [post(models_url, chat("Tell me a story.", max_tokens=30)) for _ in range(SLOTS + MAX_WAITING + 1)]
    answers = await asyncio.gather(*one_too_many)
    refused = [answer for status, answer in answers if status == 429]
    assert len(refused) == 1
    assert refused[0]["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{not json", None),
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": -1}, "max_tokens"),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}, "temperature"),
        ({"messages": [{"role": "user", "content": "word " * 6000}]}, "messages"),
    ],
)
async def test_a_wrong_request_is_answered_as_openai_does(models_url: str, body: Any, param: str | None) -> None:
    status, answer = await post(models_url, body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["param"] == param
    assert answer["error"]["message"]


async def test_parts_and_the_developer_role_are_understood(models_url: str) -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": INSTRUCTIONS}]},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "How are you?"},
    ]
    status, _ = await post(models_url, {"messages": messages, "max_tokens": 2, "tools": [], "unknown": 1})
    assert status == 200
