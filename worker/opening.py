"""An agent's first words in a call: in hand before a telephone is answered, else spoken as they are made."""

from __future__ import annotations

import asyncio
import contextlib

from livekit.agents import AgentSession

from worker.clip_speech import say_clip
from worker.clips import Clips

GREETING_TIMEOUT_S = 30.0


async def greet(session: AgentSession[None], greeting: str, clips: Clips, *, on_phone: bool) -> None:
    """Returns when it was said, or cut short by the caller."""
    ready = clips.first_words() if on_phone else None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GREETING_TIMEOUT_S):
            said = session.say(greeting) if ready is None else say_clip(session, ready, remember=True)
            await said.wait_for_playout()
