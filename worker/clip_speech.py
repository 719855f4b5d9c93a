"""Phrases that are said outside of an answer: a speech of its own in LiveKit's session, without any voice at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice import SpeechHandle

from worker.clips import Clip
from worker.turn_guard import TurnGuard
from worker.watchdog import Due

LOOK_S = 0.1


def say_clip(session: AgentSession[None], clip: Clip, *, remember: bool = False) -> SpeechHandle:
    """It is queued behind what is being said. Raises RuntimeError when the session does not run.

    `remember`: it is a part of the conversation, and stands in its history.
    """
    return session.say(clip.text, audio=_frames(clip), add_to_chat_ctx=remember)


async def fill_tool_time(session: AgentSession[None], guard: TurnGuard) -> None:
    """Say fillers while a tool is at work, until cancelled: none of the agent's nodes runs then."""
    while True:
        await asyncio.sleep(LOOK_S)
        if guard.for_idle() is Due.FILLER:
            say_clip(session, guard.take("filler"))


async def _frames(clip: Clip) -> AsyncIterator[rtc.AudioFrame]:
    for frame in clip.frames(words=False):
        yield frame
