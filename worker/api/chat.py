"""POST /chat: a text becomes the language model's answer, spoken while it is still being written."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from livekit.agents import llm
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tts_plugin.client import EngineClient
from worker import agent_file
from worker.api import audio, sound_links
from worker.api.broken_off import HEADERS
from worker.api.conversations import Message
from worker.api.disconnect import while_connected
from worker.api.errors import ApiError
from worker.api.events import EventAnswer
from worker.api.idempotency import KEEP_S
from worker.api.limits import by_asker
from worker.api.shared_answers import SharedAnswers
from worker.api.shared_turns import SharedTurns
from worker.api.side_by_side import SideBySide
from worker.api.speech import Speech
from worker.api.synthesize import ANSWERS, Sound, SpokenText
from worker.api.thinking import deltas
from worker.settings import Settings

MAX_CHARS = 2_000  # what a person says in one turn
CHAT_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {**ANSWERS[200]["content"], "application/json": {}}}}
MAX_JSON_BYTES = 16 * 1024 * 1024  # of sound within one JSON answer

logger = logging.getLogger(__name__)


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: Annotated[str, Field(min_length=1, max_length=16_000)]


class ChatRequest(Sound):
    text: SpokenText = Field(max_length=MAX_CHARS)
    system: str | None = Field(
        None, min_length=1, max_length=8_000, description="Instructions for the model; left out: the agent's."
    )
    history: list[Said] | None = Field(None, max_length=40, description="What was said before, oldest first.")
    conversation_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")] | None = Field(
        None,
        description="A name you choose, hard to guess: the last 20 turns are then remembered for 30 minutes.",
    )
    format: Literal["audio", "sse", "json"] = Field(
        "audio", description="audio: the sound. sse: events with text, words and sound. json: all of it at the end."
    )
    audio_as: Literal["base64", "url"] = Field(
        "base64", description="With format json: the sound within it, or a link to it that is good for 10 minutes."
    )
    stream: bool = Field(True, description="With format audio: send sound while the answer is still being written.")

    @model_validator(mode="after")
    def _one_memory(self) -> ChatRequest:
        if self.history is not None and self.conversation_id is not None:
            raise ValueError("history or conversation_id, not both")
        return self


def routes(
    settings: Settings, engine: EngineClient, model: llm.LLM[Any], answers: SharedAnswers, turns: SharedTurns
) -> APIRouter:
    router = APIRouter()

    @router.post("/chat", response_class=Response, responses=CHAT_ANSWERS)
    async def chat(body: ChatRequest, request: Request) -> Response:
        output = body.output()
        agent = _agent(settings)
        memory = _Memory(turns, body, by_asker(request.scope) or "anybody")
        context = _context(body.system or agent.instructions, await memory.before(), body.text)
        answer = Answer(deltas(model, context, first_s=settings.llm_timeout_s), memory.add)
        voice = body.voice_id or agent.voice or settings.tts_voice
        speech = await Speech.open(engine, voice, "interactive", language=body.language, seed=body.seed)
        if body.format == "sse":
            return await _events(SideBySide(speech, answer, output), request)
        speech.feed_by(lambda: answer.spoken_by(speech))
        if body.format == "json":
            kept = await audio.keep(speech, output, request.receive)
            return _json(answer, kept, body, await _sound(answers, kept, body, request))
        return await audio.answer(speech, output, request.receive, stream=body.stream)

    return router


class Answer:
    """What the model writes, and, when it has ended, all of it. Iterate it once."""

    def __init__(self, written: AsyncIterator[str], remember: Callable[[str], Awaitable[None]]) -> None:
        self._written = written
        self._remember = remember
        self.text = ""

    async def __aiter__(self) -> AsyncIterator[str]:
        async for delta in self._written:
            self.text += delta
            yield delta
        await self._remember(self.text)

    async def spoken_by(self, speech: Speech) -> None:
        async for delta in self:
            speech.feed(delta)


class _Memory:
    """What was said before, by whom the request says; a conversation belongs to the asker who began it."""

    def __init__(self, turns: SharedTurns, body: ChatRequest, asker: str) -> None:
        self._turns, self._body = turns, body
        self._id = f"{asker} {body.conversation_id}" if body.conversation_id is not None else None

    async def before(self) -> list[Message]:
        if self._id is not None:
            return await self._turns.said(self._id)
        return [Message(said.role, said.content) for said in self._body.history or ()]

    async def add(self, answer: str) -> None:
        if self._id is not None:
            await self._turns.add(self._id, self._body.text, answer)


async def _events(both: SideBySide, request: Request) -> Response:
    """Begins with the model's first words, so that its refusal is still a clean error."""
    try:
        await while_connected(request.receive, both.start())
    except BaseException:
        both.cancel()
        raise
    return EventAnswer(both.events(), both.cancel)


async def _sound(answers: SharedAnswers, kept: audio.Kept, body: ChatRequest, request: Request) -> dict[str, Any]:
    """Where the sound is: within the answer, or at a link. `kept` is closed."""
    if body.audio_as == "url":
        url = await sound_links.keep(answers, kept, request)
        return {"audio_url": url, "audio_expires_in_s": KEEP_S}
    with kept.sound as sound:
        if kept.size > MAX_JSON_BYTES:
            raise ApiError(502, "too_much_sound", f"The sound has {kept.size} bytes; take a link, or another format.")
        sound.seek(0)
        return {"audio": base64.b64encode(sound.read()).decode()}


def _json(answer: Answer, kept: audio.Kept, body: ChatRequest, sound: dict[str, Any]) -> Response:
    content = {
        "text": answer.text,
        **sound,
        "media_type": kept.media_type,
        "words": [asdict(word) for word in kept.words],
        "conversation_id": body.conversation_id,
    }
    # ASCII: the model's words may hold half a surrogate pair, which has no UTF-8.
    return Response(json.dumps(content), headers=HEADERS, media_type="application/json")


def _context(system: str, before: list[Message], text: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=system)
    for message in before:
        context.add_message(role=message.role, content=message.text)
    context.add_message(role="user", content=text)
    return context


def _agent(settings: Settings) -> agent_file.AgentFile:
    try:
        return agent_file.load(settings.agent_file, must_exist="agent_file" in settings.model_fields_set)
    except agent_file.AgentFileError as error:
        logger.error("the agent file is not right: %s", error)
        raise ApiError(500, "agent_file", "The agent file is not right; the service's log says where.") from error
