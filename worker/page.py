"""What the caller's page is told by the job: text streams of small JSON, never any words of the conversation."""

from __future__ import annotations

import asyncio
import json
import logging

from livekit import rtc

from worker.owned_tasks import OwnedTasks

TURN_TOPIC = "tts-ops.turn"
NOTICE_TOPIC = "tts-ops.notice"
SEND_TIMEOUT_S = 2.0
MAX_SENDING = 16

log = logging.getLogger(__name__)


class Page:
    """Sends in the background; what cannot be sent is dropped. A page that is gone never holds the call up."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._tasks = OwnedTasks()

    def turn(self, report: dict[str, object]) -> None:
        """The numbers of one answer."""
        self._put(TURN_TOPIC, report)

    def notice(self, code: str, message: str) -> None:
        """Something that the caller should know. `message` is shown to people."""
        self._put(NOTICE_TOPIC, {"code": code, "message": message})

    async def aclose(self) -> None:
        await self._tasks.aclose()

    def _put(self, topic: str, content: dict[str, object]) -> None:
        if len(self._tasks) < MAX_SENDING:
            self._tasks.start(self._send(topic, json.dumps(content)), f"page {topic}")

    async def _send(self, topic: str, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._room.local_participant.send_text(text, topic=topic)
        except (RuntimeError, TimeoutError) as error:  # the room is being left
            log.debug("the page was not told on %s: %s", topic, type(error).__name__)
