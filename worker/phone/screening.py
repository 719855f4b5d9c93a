"""Who answered a call that we made: a person, or a machine. LiveKit's detector, on our own models only."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

from livekit.agents import AgentSession, llm
from livekit.agents.voice.amd import AMD

Answerer = Literal["person", "voicemail", "machine", "unknown"]
DETECT_S = 12.0

log = logging.getLogger(__name__)


async def screen(session: AgentSession[Any], model: llm.LLM[Any]) -> Answerer:
    """Listen to how the call is answered, until that is clear or DETECT_S is over. The agent is silent meanwhile."""
    options: dict[str, float] = {"timeout": DETECT_S, "no_speech_threshold": 4.0}
    try:
        async with asyncio.timeout(DETECT_S + 8):
            # stt=None and llm are named: what it would choose by itself may be LiveKit's cloud.
            async with AMD(
                session,
                llm=model,
                stt=None,
                ivr_detection=False,
                suppress_compatibility_warning=True,
                detection_options=options,  # type: ignore[arg-type]
            ) as detector:
                verdict = await detector.execute()
    except (TimeoutError, RuntimeError, ValueError) as error:
        log.warning("who answered is not known: %s", type(error).__name__)
        return "unknown"
    log.info("the call was answered by: %s", verdict.category.value)
    if verdict.is_human:
        return "person"
    if not verdict.is_machine:
        return "unknown"
    return "voicemail" if verdict.category.value == "machine-vm" else "machine"
