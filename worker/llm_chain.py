"""The language models of a call, in order: the next one answers when one fails before its first word.

Keeps the deadlines (first words, between words) and one circuit breaker per model. What was written may have been
heard: after the first word there is no second try. Knows neither clips nor turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from livekit.agents import APIConnectOptions, APIError, llm
from livekit.agents.types import NotGivenOr

from worker import breaker
from worker.breaker import Breaker

Stage = Literal["llm_first", "llm_stall"]
Note = Callable[..., None]  # JobLink.note

HICCUP_S = 0.5  # a failure that comes sooner may be one: the last model is asked once more

log = logging.getLogger(__name__)


class LlmFailed(Exception):
    """No model gave an answer, or the one that began it fell silent. `said`: some words had been written."""

    def __init__(self, reason: str, *, said: bool) -> None:
        super().__init__(reason)
        self.said = said


@dataclass(slots=True)
class Model:
    """`name` stands in metrics and logs: the provider, never a key or a URL."""

    name: str
    llm: llm.LLM[Any]
    breaker: Breaker = field(default_factory=Breaker)


class LlmChain:
    """`first_s`: deadline of a model's first words; `stall_s`: of the next ones. Both in seconds."""

    def __init__(self, models: Sequence[Model], *, first_s: float, stall_s: float, note: Note | None = None) -> None:
        if not models:
            raise ValueError("no language model was given; at least one is needed")
        self._models = tuple(models)
        self._first_s = first_s
        self._stall_s = stall_s
        self._told: dict[str, breaker.State] = {}
        self.note: Note = note or (lambda *_, **__: None)

    @property
    def models(self) -> tuple[Model, ...]:
        return self._models

    async def answer(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], tool_choice: NotGivenOr[llm.ToolChoice]
    ) -> AsyncIterator[llm.ChatChunk]:
        """The answer as it is written. Raises LlmFailed; never anything else of a model's."""
        tries = self._tries()
        if not tries:
            raise LlmFailed("every language model failed a moment ago", said=False)
        failed_at, began_at = 0.0, time.monotonic()
        for n, model in enumerate(tries):
            if n and model is tries[n - 1] and failed_at - began_at > HICCUP_S:
                break
            begun, began_at = _Begun(), time.monotonic()
            try:
                async for chunk in self._try(model, chat_ctx, tools, tool_choice, begun):
                    yield chunk
                return
            except _TryFailed as error:
                failed_at = time.monotonic()
                if begun.said:
                    raise LlmFailed(str(error), said=True) from error
        raise LlmFailed("no language model answered", said=False)

    def _tries(self) -> list[Model]:
        """Who is asked, in this order. The last one stands twice: it is asked again when it fails at once."""
        now = time.monotonic()
        willing = [model for model in self._models if model.breaker.state(now) != "open"]
        return [*willing, willing[-1]] if willing else []

    async def _try(
        self,
        model: Model,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        tool_choice: NotGivenOr[llm.ToolChoice],
        begun: _Begun,
    ) -> AsyncIterator[llm.ChatChunk]:
        if model.breaker.state(time.monotonic()) == "open":  # its first try opened it
            raise _TryFailed("it failed a moment ago")
        self._tell(model)
        options = APIConnectOptions(max_retry=0, timeout=self._first_s)
        stream = model.llm.chat(chat_ctx=chat_ctx, tools=tools, tool_choice=tool_choice, conn_options=options)
        try:
            async with contextlib.aclosing(self._timed(stream, begun)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk
            if not begun.said:
                raise _TryFailed("it answered without a word")
        except _TryFailed as error:
            log.warning("language model %s: %s", model.name, error)
            model.breaker.failed(time.monotonic())
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if begun.said:
                model.breaker.succeeded()
            raise
        else:
            model.breaker.succeeded()
        finally:
            self._tell(model)

    async def _timed(self, stream: llm.LLMStream, begun: _Begun) -> AsyncIterator[llm.ChatChunk]:
        """Chunks of `stream`; only those that carry an answer are a sign of life. Raises _TryFailed."""
        loop = asyncio.get_running_loop()
        limit_s: float = self._first_s
        try:
            async with stream:
                at = loop.time() + limit_s
                while True:
                    try:
                        async with asyncio.timeout_at(at):
                            chunk = await anext(stream, None)
                    except TimeoutError:
                        stage: Stage = "llm_stall" if begun.said else "llm_first"
                        self.note("deadline", stage=stage)
                        raise _TryFailed(f"silent for {limit_s:g} s") from None
                    if chunk is None:
                        return
                    if _answers(chunk):
                        begun.said, limit_s = True, self._stall_s
                        at = loop.time() + limit_s
                    yield chunk
        except APIError as error:
            raise _TryFailed(type(error).__name__) from error
        except (_TryFailed, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:  # a provider's plugin may raise anything, and the caller must hear something
            raise _TryFailed(type(error).__name__) from error

    def _tell(self, model: Model) -> None:
        state = model.breaker.state(time.monotonic())
        if self._told.get(model.name, "closed") != state:
            self._told[model.name] = state
            log.warning("language model %s: circuit breaker %s", model.name, state)
            self.note("breaker", dependency=model.name, state=breaker.NUMBERS[state])

    async def aclose(self) -> None:
        for model in self._models:
            await model.llm.aclose()


@dataclass(slots=True)
class _Begun:
    said: bool = False


class _TryFailed(Exception):
    """One model, one try. The text holds nothing of what was said, and no URL."""


def _answers(chunk: llm.ChatChunk) -> bool:
    return chunk.delta is not None and bool(chunk.delta.content or chunk.delta.tool_calls)
