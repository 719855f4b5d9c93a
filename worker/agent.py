"""The agent of `agent.yaml`: what is put between LiveKit's own nodes in every turn of a call.

The nodes pass on what the models make as it comes. When it does not come they say so to the caller: a filler while it
is awaited, an apology when the turn is given up (worker/watchdog.py decides).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import Agent, ModelSettings, llm, stt
from livekit.agents.types import NOT_GIVEN, USERDATA_TIMED_TRANSCRIPT, FlushSentinel, TimedString
from livekit.agents.utils import is_given

from worker.agent_file import AgentFile
from worker.clips import Clip
from worker.handover import Handover
from worker.hearing import Hearing
from worker.interleave import interleave
from worker.llm_chain import LlmChain, LlmFailed
from worker.turn_guard import TurnGuard
from worker.turns import TurnLog
from worker.watchdog import Due

log = logging.getLogger(__name__)


class VoiceAgent(Agent):
    """The agent of `agent.yaml`. Its nodes add stamps and deadlines to LiveKit's own and keep the history short."""

    def __init__(
        self,
        file: AgentFile,
        turns: TurnLog,
        chain: LlmChain,
        guard: TurnGuard,
        hearing: Hearing,
        *,
        chat_ctx: llm.ChatContext | None = None,
        tools: list[llm.Tool | llm.Toolset] | None = None,
    ) -> None:
        super().__init__(instructions=file.instructions, chat_ctx=chat_ctx, tools=tools)
        self._history_turns = file.limits.history_turns
        self._turns = turns
        self._chain = chain
        self._guard = guard
        self._hearing = hearing

    def prompt(self, chat_ctx: llm.ChatContext) -> llm.ChatContext:
        """What the model is sent of the history. Cut in leaps, so that the model's prompt cache mostly holds."""
        if any(_is_empty(item) for item in chat_ctx.items):  # of which nothing was left but a filler
            chat_ctx = chat_ctx.copy()
            chat_ctx.items = [item for item in chat_ctx.items if not _is_empty(item)]
        most = self._history_turns
        excess = len(chat_ctx.items) - 1 - most
        if excess <= 0:
            return chat_ctx
        leap = max(1, most // 2)
        dropped = -(-excess // leap) * leap
        return chat_ctx.copy().truncate(max_items=len(chat_ctx.items) - dropped)

    def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent | str]:
        return self._hearing.listen(audio, lambda heard: Agent.default.stt_node(self, heard, model_settings))

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[Any]:
        guard = self._guard
        with guard.at_work("writing"):
            answer = self._chain.answer(self.prompt(chat_ctx), tools, model_settings.tool_choice)
            segment_open, begun = False, False
            chunks = interleave(answer, lambda: guard.for_writer(segment_open=segment_open), name="answer")
            try:
                async for item in chunks:
                    if item is Due.FILLER:
                        yield guard.mark("filler")
                        yield FlushSentinel()
                    elif item is Due.APOLOGY:
                        guard.timed_out("turn")
                        raise LlmFailed("the turn took too long", said=segment_open)
                    elif guard.abandoned:
                        return
                    elif isinstance(item, llm.ChatChunk):
                        if not begun and _has_content(item):
                            begun = True
                            self._turns.stamp("llm_first", time.time())
                        segment_open = segment_open or _has_text(item)
                        yield item
            except LlmFailed as error:
                log.warning("the turn ends with an apology: %s", error)
                if segment_open:
                    yield FlushSentinel()
                yield guard.mark("apology")
                yield FlushSentinel()
            finally:
                await chunks.aclose()

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterable[rtc.AudioFrame]:
        guard = self._guard
        with guard.at_work("speaking"):
            shift_s, first = 0.0, True
            sounds = interleave(self._sounds(text, model_settings), guard.for_voice, name="voice")
            try:
                async for item in sounds:
                    if isinstance(item, _Sound):
                        if item.is_word:
                            guard.pushed(item.frame.duration, word=True)
                            if first:
                                self._turns.stamp("voice_first", time.time())
                                first = False
                        yield _later(item.frame, shift_s)
                    elif item is Due.FILLER:
                        clip = guard.take("filler")
                        for frame in clip.frames(words=False):
                            yield frame
                        shift_s += clip.seconds
                    else:
                        guard.timed_out("turn")
                        raise _VoiceFailed
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever the voice fails with, the caller must hear of it
                log.warning("the voice failed: %s", type(error).__name__)
                guard.abandoned = True
                for frame in _later_all(guard.take("apology"), shift_s):
                    yield frame
            finally:
                await sounds.aclose()

    async def transcription_node(
        self, text: AsyncIterable[str | TimedString], model_settings: ModelSettings
    ) -> AsyncGenerator[str | TimedString, None]:
        async for delta in text:
            clip = self._guard.marked(delta)
            yield delta if clip is None else f"{clip.text} "

    async def _sounds(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[_Sound]:
        """A phrase where the text is its mark, else what the voice makes of the text."""
        deltas = aiter(text)
        head = await anext(deltas, None)
        if head is None:
            return
        clip = self._guard.marked(head)
        if clip is not None:
            for frame in clip.frames():
                yield _Sound(frame, is_word=False)
            return
        async with contextlib.aclosing(Agent.default.tts_node(self, _chained(head, deltas), model_settings)) as frames:
            async for frame in frames:
                yield _Sound(frame, is_word=True)


def history_of(told: Handover | None) -> llm.ChatContext:
    """The turns of the agent before this one."""
    context = llm.ChatContext.empty()
    for turn in told.turns if told else ():
        context.add_message(role=turn.role, content=turn.text, interrupted=turn.interrupted)
    return context


@dataclass(frozen=True, slots=True)
class _Sound:
    frame: rtc.AudioFrame
    is_word: bool  # of the answer; a phrase was counted when it was marked


class _VoiceFailed(Exception):
    """The voice said nothing for the whole length of a turn."""


async def _chained(head: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield head
    async for delta in rest:
        yield delta


def _later_all(clip: Clip, shift_s: float) -> list[rtc.AudioFrame]:
    return [_later(frame, shift_s) for frame in clip.frames()]


def _later(frame: rtc.AudioFrame, shift_s: float) -> rtc.AudioFrame:
    """The frame with its words' times moved: fillers were put before it."""
    words = frame.userdata.get(USERDATA_TIMED_TRANSCRIPT)
    if words and shift_s:
        frame.userdata[USERDATA_TIMED_TRANSCRIPT] = [_moved(word, shift_s) for word in words]
    return frame


def _moved(word: TimedString, by_s: float) -> TimedString:
    start_s, end_s = word.start_time, word.end_time
    return TimedString(
        str(word),
        start_time=start_s + by_s if is_given(start_s) else NOT_GIVEN,
        end_time=end_s + by_s if is_given(end_s) else NOT_GIVEN,
    )


def _is_empty(item: llm.ChatItem) -> bool:
    return isinstance(item, llm.ChatMessage) and item.role == "assistant" and not (item.text_content or "").strip()


def _has_text(chunk: llm.ChatChunk) -> bool:
    return chunk.delta is not None and bool(chunk.delta.content)


def _has_content(chunk: llm.ChatChunk) -> bool:
    return chunk.delta is not None and bool(chunk.delta.content or chunk.delta.tool_calls)
