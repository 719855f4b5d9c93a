"""The agent of `agent.yaml`: what is put between LiveKit's own nodes in every turn of a call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, TypeVar

from livekit import rtc
from livekit.agents import Agent, ModelSettings, llm

from worker.agent_file import AgentFile
from worker.turns import Stamp, TurnLog

Item = TypeVar("Item")


class VoiceAgent(Agent):
    """The agent of `agent.yaml`. Its nodes add stamps to LiveKit's own and keep the history short."""

    def __init__(self, file: AgentFile, turns: TurnLog) -> None:
        super().__init__(instructions=file.instructions)
        self._history_turns = file.limits.history_turns
        self._turns = turns

    def prompt(self, chat_ctx: llm.ChatContext) -> llm.ChatContext:
        """What the model is sent of the history. Cut in leaps, so that the model's prompt cache mostly holds."""
        most = self._history_turns
        excess = len(chat_ctx.items) - 1 - most
        if excess <= 0:
            return chat_ctx
        leap = max(1, most // 2)
        dropped = -(-excess // leap) * leap
        return chat_ctx.copy().truncate(max_items=len(chat_ctx.items) - dropped)

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[Any]:
        chunks = Agent.default.llm_node(self, self.prompt(chat_ctx), tools, model_settings)
        async for chunk in self._stamped("llm_first", chunks):
            yield chunk

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterable[rtc.AudioFrame]:
        async for frame in self._stamped("voice_first", Agent.default.tts_node(self, text, model_settings)):
            yield frame

    async def _stamped(self, name: Stamp, items: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
        async with contextlib.aclosing(items):
            first = True
            async for item in items:
                if first:
                    self._turns.stamp(name, time.time())
                    first = False
                yield item
