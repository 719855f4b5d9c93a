"""The embedded model's prompt cache: the same bytes as the turn, one request at a time, newest wins."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from http_parts import serving, until
from livekit.agents import APIConnectOptions, llm
from livekit.plugins import openai

from worker.prompt_cache import PromptCache


class Server:
    """Keeps what it was asked; answers when `release` is set."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.release = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.release.wait()
        self.at_once -= 1
        return web.json_response({"choices": []})


def context(*said: str) -> llm.ChatContext:
    made = llm.ChatContext.empty()
    made.add_message(role="system", content="You are Vera.")
    for number, text in enumerate(said):
        made.add_message(role=("user", "assistant")[number % 2], content=text)
    return made


async def test_it_sends_the_very_messages_of_the_turn() -> None:
    server = Server()
    server.release.set()
    async with serving("POST", "/v1/chat/completions", server) as url:
        cache = PromptCache(f"{url}/v1", "small")
        cache.warm(context("Hello", "Hi!"), "How are")
        await until(lambda: len(server.asked) == 1)
        await cache.aclose()

        model = openai.LLM(model="small", base_url=f"{url}/v1", api_key="none", extra_body={"cache_prompt": True})
        options = APIConnectOptions(max_retry=0, timeout=5)
        async with model.chat(chat_ctx=context("Hello", "Hi!", "How are"), conn_options=options):
            await until(lambda: len(server.asked) == 2)
        await model.aclose()
    warmed, turn = server.asked
    assert warmed["messages"] == turn["messages"]
    assert warmed["model"] == turn["model"]
    assert warmed["cache_prompt"] is turn["cache_prompt"] is True
    assert warmed["max_tokens"] == 1


async def test_one_is_in_flight_and_of_those_that_wait_the_newest_wins() -> None:
    server = Server()
    async with serving("POST", "/v1/chat/completions", server) as url:
        cache = PromptCache(f"{url}/v1", "small")
        cache.warm(context(), "one")
        await until(lambda: len(server.asked) == 1)
        for words in ("one two", "one two three", "one two three four"):
            cache.warm(context(), words)
        server.release.set()
        await until(lambda: len(server.asked) == 2)
        await until(lambda: server.at_once == 0)
        await cache.aclose()
    assert [body["messages"][-1]["content"] for body in server.asked] == ["one", "one two three four"]
    assert server.most_at_once == 1


async def test_what_waits_can_be_dropped() -> None:
    server = Server()
    async with serving("POST", "/v1/chat/completions", server) as url:
        cache = PromptCache(f"{url}/v1", "small")
        cache.warm(context(), "one")
        await until(lambda: len(server.asked) == 1)
        cache.warm(context(), "one two")
        cache.drop()
        server.release.set()
        await until(lambda: server.at_once == 0)
        await cache.aclose()
    assert len(server.asked) == 1


async def test_a_missing_server_is_nobodys_trouble() -> None:
    cache = PromptCache("http://127.0.0.1:9/v1", "small")
    cache.warm(context(), "one")
    cache.warm(context(), "two")
    await until(lambda: cache.idle)
    await cache.aclose()


async def test_closing_ends_a_request_in_flight_and_leaves_no_task() -> None:
    server = Server()
    async with serving("POST", "/v1/chat/completions", server) as url:
        before = asyncio.all_tasks()
        cache = PromptCache(f"{url}/v1", "small")
        cache.warm(context(), "one")
        await until(lambda: len(server.asked) == 1)
        await cache.aclose()
        await until(lambda: asyncio.all_tasks() <= before)


async def test_it_does_nothing_for_other_models() -> None:
    cache = PromptCache(None, "claude")
    cache.warm(context(), "one")
    assert cache.idle
    await cache.aclose()


async def test_the_callers_context_is_left_as_it_was() -> None:
    cache = PromptCache("http://127.0.0.1:9/v1", "small")
    mine = context("Hello", "Hi!")
    cache.warm(mine, "How are")
    assert len(mine.items) == 3
    await cache.aclose()
