"""A small OpenAI-compatible server whose words are known beforehand: for measuring and testing.

It speaks the real protocol (`POST /v1/chat/completions`, streamed or whole, `GET /v1/models`) at a given pace and keeps
what it was asked. It runs in a thread of its own, so that neither a busy caller nor a test's event loop slows it down.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MAX_REQUESTS = 2_000
DEFAULT_TEXT = "Yes, of course. The library opens at nine in the morning, and it closes at six in the evening."


@dataclass(frozen=True, slots=True)
class Reply:
    text: str = DEFAULT_TEXT
    ttft_s: float = 0.05
    tokens_per_s: float = 60.0
    tool: tuple[str, Mapping[str, Any]] | None = None  # called after the text: name and arguments


@dataclass(slots=True)
class Request:
    """One request, and what became of it. Times are monotonic seconds."""

    messages: list[dict[str, Any]]
    max_tokens: int | None
    received_s: float
    first_delta_s: float | None = None
    last_delta_s: float | None = None
    sent: str = ""
    finished: bool = False
    abandoned: bool = False  # nobody waited for the rest
    tools: tuple[str, ...] = ()  # that it may call

    @property
    def tool_result(self) -> str | None:
        """What a tool said, where that is the last thing that was said."""
        last = self.messages[-1] if self.messages else {}
        return text_of(last) if last.get("role") == "tool" else None

    @property
    def user_text(self) -> str:
        """The last thing the user said."""
        return next((text_of(m) for m in reversed(self.messages) if m.get("role") == "user"), "")


Script = Callable[[Request], Reply]


def text_of(message: dict[str, Any]) -> str:
    """The text of a chat message, whether its content is a string or parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def deltas_of(text: str) -> list[str]:
    """Pieces of at most six characters that start at words: about as long as a model's tokens."""
    return re.findall(r"\s*\S{1,6}", text)


@dataclass(slots=True)
class ScriptedLlm:
    """`script` decides each answer from its request; replace it at any time. `requests` holds the last ones."""

    url: str = ""
    script: Script = field(default=lambda _: Reply())
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=MAX_REQUESTS))

    def answer(self, text: str, ttft_s: float = 0.05, tokens_per_s: float = 60.0) -> None:
        """Say `text` to whatever is asked from now on."""
        reply = Reply(text, ttft_s, tokens_per_s)
        self.script = lambda _: reply

    def asked(self, words: str) -> list[Request]:
        """The requests whose last user message holds `words` (case ignored)."""
        return [r for r in self.requests if words.lower() in r.user_text.lower()]


@contextmanager
def scripted_llm(host: str = "127.0.0.1") -> Iterator[ScriptedLlm]:
    """A server on a free port of `host`; `llm.url` is what OPENAI_BASE_URL takes."""
    llm = ScriptedLlm()
    loop = asyncio.new_event_loop()
    runner = loop.run_until_complete(_open(llm, host))
    thread = threading.Thread(target=loop.run_forever, name="scripted-llm", daemon=True)
    thread.start()
    try:
        yield llm
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        loop.close()


async def _open(llm: ScriptedLlm, host: str) -> web.AppRunner:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", lambda request: _complete(llm, request))
    app.router.add_get("/v1/models", _models)
    runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    llm.url = f"http://{host}:{runner.addresses[0][1]}/v1"
    return runner


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "default", "object": "model", "owned_by": "script"}]})


async def _complete(llm: ScriptedLlm, http: web.Request) -> web.StreamResponse:
    body = await http.json()
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    tools = tuple(str(tool["function"]["name"]) for tool in body.get("tools") or ())
    request = Request(body["messages"], limit, time.monotonic(), tools=tools)
    llm.requests.append(request)
    reply = llm.script(request)
    deltas = deltas_of(reply.text)[:limit]
    if body.get("stream"):
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return await _stream(http, request, reply, deltas, include_usage=usage)
    await asyncio.sleep(reply.ttft_s + len(deltas) / reply.tokens_per_s)
    request.sent, request.finished = "".join(deltas), True
    message = {"role": "assistant", "content": request.sent}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return web.json_response({**_head("chat.completion"), "choices": [choice], "usage": _usage(len(deltas))})


async def _stream(
    http: web.Request, request: Request, reply: Reply, deltas: list[str], *, include_usage: bool
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(http)
    try:
        await _send_deltas(response, request, reply, deltas)
    except (asyncio.CancelledError, ConnectionError):
        request.abandoned = True
        raise
    if reply.tool:
        await _event(response, [{"index": 0, "delta": {"tool_calls": [_call(*reply.tool)]}, "finish_reason": None}])
    await _event(response, [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if reply.tool else "stop"}])
    if include_usage:
        await _event(response, [], usage=_usage(len(deltas)))
    await response.write(b"data: [DONE]\n\n")
    return response


async def _send_deltas(response: web.StreamResponse, request: Request, reply: Reply, deltas: list[str]) -> None:
    async for delta in _paced(deltas, reply):
        await _event(response, [{"index": 0, "delta": {"role": "assistant", "content": delta}, "finish_reason": None}])
        request.last_delta_s = time.monotonic()
        request.first_delta_s = request.first_delta_s or request.last_delta_s
        request.sent += delta
    request.finished = True


async def _paced(deltas: list[str], reply: Reply) -> AsyncIterator[str]:
    start_s = time.monotonic() + reply.ttft_s
    for i, delta in enumerate(deltas):
        await asyncio.sleep(max(0.0, start_s + i / reply.tokens_per_s - time.monotonic()))
        yield delta


async def _event(response: web.StreamResponse, choices: list[Any], **more: Any) -> None:
    event = {**_head("chat.completion.chunk"), "choices": choices, **more}
    await response.write(f"data: {json.dumps(event)}\n\n".encode())


def _call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    call_id = f"call_{time.monotonic_ns()}"
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"index": 0, "id": call_id, "type": "function", "function": function}


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-script", "object": kind, "created": int(time.time()), "model": "default"}


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
