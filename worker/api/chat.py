"""POST /chat: a text becomes the language model's answer, spoken while it is still being written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, APITimeoutError, llm
from pydantic import BaseModel, ConfigDict, Field

from tts_plugin.client import EngineClient
from worker import agent_file
from worker.api import audio
from worker.api.errors import ApiError
from worker.api.formats.output import Output, OutputFormat
from worker.api.speech import Speech
from worker.api.synthesize import SpokenText, VoiceId
from worker.settings import Settings

DELTA_TIMEOUT_S = 3.0
MAX_CHARS = 2_000  # what a person says in one turn

logger = logging.getLogger(__name__)


class ChatRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: SpokenText = Field(max_length=MAX_CHARS)
    voice_id: VoiceId | None = Field(None, description="A voice of GET /voices; left out: the agent's.")
    output_format: OutputFormat = "wav"
    stream: bool = Field(True, description="Send sound while the answer is still being written.")


def routes(settings: Settings, engine: EngineClient, model: llm.LLM[Any]) -> APIRouter:
    router = APIRouter()

    @router.post("/chat", response_class=Response)
    async def chat(body: ChatRequest, request: Request) -> Response:
        agent = _agent(settings)
        context = llm.ChatContext.empty()
        context.add_message(role="system", content=agent.instructions)
        context.add_message(role="user", content=body.text)
        voice = body.voice_id or agent.voice or settings.tts_voice
        speech = await Speech.open(engine, voice, "interactive")
        speech.feed_by(lambda: _think_aloud(deltas(model, context, first_s=settings.llm_timeout_s), speech))
        return await audio.answer(speech, Output(body.output_format), request.receive, stream=body.stream)

    return router


async def deltas(
    model: llm.LLM[Any], context: llm.ChatContext, *, first_s: float, next_s: float = DELTA_TIMEOUT_S
) -> AsyncIterator[str]:
    """The answer as it is written. ApiError 504 after `first_s` without a word, or `next_s` between two; 502 else."""
    options = APIConnectOptions(max_retry=0, timeout=first_s)
    timeout_s = first_s
    said = False
    try:
        async with model.chat(chat_ctx=context, conn_options=options) as stream:
            while True:
                async with asyncio.timeout(timeout_s):
                    delta = await _next_words(stream)
                if not delta:
                    break
                timeout_s = next_s
                said = True
                yield delta
        if not said:
            raise ApiError(502, "llm_empty", "The language model answered without a word.")
    except (TimeoutError, APITimeoutError):
        raise ApiError(504, "llm_timeout", f"The language model was silent for {timeout_s:g} s.") from None
    except APIStatusError as error:
        raise ApiError(502, "llm_refused", f"The language model's server answered {error.status_code}.") from error
    except (APIConnectionError, APIError) as error:
        raise ApiError(502, "llm_unreachable", "The language model's server does not answer.") from error


async def _think_aloud(answer: AsyncIterator[str], speech: Speech) -> None:
    async for delta in answer:
        speech.feed(delta)


async def _next_words(stream: llm.LLMStream) -> str:
    """The next piece of text; empty at the end. Chunks without text are no sign of life for the caller."""
    async for chunk in stream:
        if chunk.delta is not None and chunk.delta.content:
            return chunk.delta.content
    return ""


def _agent(settings: Settings) -> agent_file.AgentFile:
    try:
        return agent_file.load(settings.agent_file, must_exist="agent_file" in settings.model_fields_set)
    except agent_file.AgentFileError as error:
        logger.error("the agent file is not right: %s", error)
        raise ApiError(500, "agent_file", "The agent file is not right; the service's log says where.") from error
