"""OpenAI's routes over the small language model: POST /v1/chat/completions (streamed or not) and GET /v1/models.

Any model name is taken: there is one. Unknown fields are left aside, wrong values answered as OpenAI does (400 and an
error object), no room with 429. `prompt_cache_key` names the conversation, so that it finds its prompt cache again.
An answer that passes half of `max_tokens` ends with its sentence: a voice that stops in mid-sentence sounds broken.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field, ValidationError

from worker.embedded.examples import SPEAKABLE, with_examples
from worker.embedded.llm import Busy, Chunk, LanguageModel, Rejected

MODEL_NAME = "smollm2-135m-instruct"
MAX_BODY_BYTES = 256 * 1024
DEFAULT_TOKENS = 60  # about 20 s of speech; what comes after repeats itself
SENTENCE_ENDS = (".", "!", "?")
RETRY_AFTER_S = 1


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    def plain(self) -> dict[str, str]:
        """As the model's template takes it; it knows no developer, no parts and no missing content."""
        content = self.content or ""
        text = content if isinstance(content, str) else "\n".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(BaseModel):
    include_usage: bool = False


class Chat(BaseModel):
    """Defaults are those that gave the least bad answers of this model."""

    model: str = Field(MODEL_NAME, max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=500)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=0, le=1024)
    max_completion_tokens: int | None = Field(None, ge=0, le=1024)
    temperature: float | None = Field(0, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Literal[1] | None = 1
    prompt_cache_key: str | None = Field(None, max_length=256)

    @property
    def most_tokens(self) -> int:
        asked = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        return max(1, DEFAULT_TOKENS if asked is None else asked)

    def request(self) -> dict[str, Any]:
        sampling = self.model_dump(include={"temperature", "top_p", "stop", "seed"}, exclude_none=True)
        return {
            "messages": with_examples([message.plain() for message in self.messages]),
            "max_tokens": self.most_tokens,
            "grammar": SPEAKABLE,
            "repeat_penalty": 1.0,
            "stream_options": {"include_usage": True},
            **sampling,
        }


class _Failure(Exception):
    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.response = JSONResponse(
            {"error": {"message": message, "type": kind, "param": param, "code": None}},
            status,
            {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None,
        )


def create_router(model: LanguageModel) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "tts-ops"}]}

    @router.post("/v1/chat/completions", response_model=None)
    async def complete(request: Request) -> Response:
        try:
            chat = await _read(request)
            answer = Answer(chat, model)
            await answer.begin()
            if chat.stream:
                return StreamingResponse(answer.events(), media_type="text/event-stream")
            return JSONResponse(await _unless_gone(request, answer.whole()))
        except _Failure as failure:
            return failure.response

    return router


class Answer:
    """One completion: `begin` waits for the first chunk, so that a refusal still has a status of its own."""

    def __init__(self, chat: Chat, model: LanguageModel) -> None:
        self._chat = chat
        self._chunks = model.stream(chat.request(), conversation=chat.prompt_cache_key)
        self._first: Chunk | None = None
        self._text = ""
        self._tokens = 0

    async def begin(self) -> None:
        try:
            self._first = await anext(self._chunks, None)
        except Busy:
            raise _Failure(429, "rate_limit_error", "the language model has no room; try again") from None
        except Rejected as error:
            raise _Failure(400, "invalid_request_error", str(error), "messages") from None
        except TimeoutError:
            raise _Failure(503, "server_error", "the language model did not answer in time") from None

    async def events(self) -> AsyncIterator[str]:
        """Server-sent events."""
        usage_wanted = self._chat.stream_options is not None and self._chat.stream_options.include_usage
        try:
            async with aclosing(self._cut()) as chunks:
                async for chunk in chunks:
                    if chunk["choices"] or usage_wanted:
                        yield _event(chunk)
        except TimeoutError:
            yield _event({"error": {"message": "the language model did not finish in time", "type": "server_error"}})
        yield "data: [DONE]\n\n"

    async def whole(self) -> dict[str, Any]:
        last: Chunk = {}
        usage, reason = None, "stop"
        async with aclosing(self._cut()) as chunks:
            async for last in chunks:
                usage = last.get("usage") or usage
                reason = next((c["finish_reason"] for c in last["choices"] if c["finish_reason"]), reason)
        choice = {"index": 0, "message": {"role": "assistant", "content": self._text}, "finish_reason": reason}
        return last | {"object": "chat.completion", "choices": [choice], "usage": usage}

    async def _cut(self) -> AsyncGenerator[Chunk, None]:
        """The chunks under the asked model's name, up to the end of the sentence in which half the length is passed."""
        async with aclosing(self._chunks):
            chunk = self._first
            while chunk is not None:
                chunk["model"] = self._chat.model
                yield chunk
                if self._is_enough(chunk):
                    yield _last_chunk(chunk, self._tokens)
                    return
                chunk = await anext(self._chunks, None)

    def _is_enough(self, chunk: Chunk) -> bool:
        delta = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        self._text += delta
        self._tokens += bool(delta)
        ended = any(choice["finish_reason"] for choice in chunk["choices"])
        past_half = self._tokens * 2 >= self._chat.most_tokens > 1
        return bool(delta) and not ended and past_half and self._text.rstrip().endswith(SENTENCE_ENDS)


def _event(data: Chunk) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _last_chunk(chunk: Chunk, tokens: int) -> Chunk:
    choices = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    return chunk | {
        "choices": choices,
        "usage": {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens},
    }


async def _read(request: Request) -> Chat:
    try:
        return Chat.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or None
        raise _Failure(400, "invalid_request_error", f"{where or 'body'}: {first['msg']}", where) from None


async def _unless_gone(request: Request, answer: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """The whole answer; when its reader hangs up first, the model stops."""
    making = asyncio.create_task(answer, name="chat-whole")
    gone = asyncio.create_task(_gone(request), name="chat-reader-gone")
    try:
        await asyncio.wait((making, gone), return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            raise _Failure(499, "invalid_request_error", "the reader has gone")
        return making.result()
    except TimeoutError:
        raise _Failure(503, "server_error", "the language model did not finish in time") from None
    finally:
        for task in (making, gone):
            task.cancel()
        await asyncio.gather(making, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
