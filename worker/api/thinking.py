"""The language model's answer as it is written, with a deadline for every wait. Failures come as ApiError."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, APITimeoutError, llm

from worker.api.errors import ApiError

DELTA_TIMEOUT_S = 3.0
MAX_ANSWER_CHARS = 16_000  # less than the engine takes as one utterance


async def deltas(
    model: llm.LLM[Any], context: llm.ChatContext, *, first_s: float, next_s: float = DELTA_TIMEOUT_S
) -> AsyncIterator[str]:
    """The answer as it is written. ApiError 504 after `first_s` without a word, or `next_s` between two; 502 else."""
    options = APIConnectOptions(max_retry=0, timeout=first_s)
    timeout_s = first_s
    said = 0
    try:
        async with model.chat(chat_ctx=context, conn_options=options) as stream:
            while True:
                async with asyncio.timeout(timeout_s):
                    delta = await _next_words(stream)
                if not delta:
                    break
                timeout_s = next_s
                said += len(delta)
                if said > MAX_ANSWER_CHARS:
                    raise ApiError(502, "llm_too_long", f"The answer has more than {MAX_ANSWER_CHARS} characters.")
                yield delta
        if not said:
            raise ApiError(502, "llm_empty", "The language model answered without a word.")
    except (TimeoutError, APITimeoutError):
        raise ApiError(504, "llm_timeout", f"The language model was silent for {timeout_s:g} s.") from None
    except APIStatusError as error:
        raise ApiError(502, "llm_refused", f"The language model's server answered {error.status_code}.") from error
    except (APIConnectionError, APIError) as error:
        raise ApiError(502, "llm_unreachable", "The language model's server does not answer.") from error


async def _next_words(stream: llm.LLMStream) -> str:
    """The next piece of text; empty at the end. Chunks without text are no sign of life for the caller."""
    async for chunk in stream:
        if chunk.delta is not None and chunk.delta.content:
            return chunk.delta.content
    return ""
