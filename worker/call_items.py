"""What is committed to the history of a call, and whom it is told: the worker, the page, the numbers of the turn."""

from __future__ import annotations

import logging

from livekit.agents import ConversationItemAddedEvent, ErrorEvent, llm

from worker.job_link import JobLink
from worker.page import Page
from worker.prompt_cache import PromptCache
from worker.turn_guard import TurnGuard, without_fillers
from worker.turns import TurnLog

log = logging.getLogger(__name__)


class CallItems:
    def __init__(self, link: JobLink, guard: TurnGuard, page: Page, turns: TurnLog, cache: PromptCache) -> None:
        self._link = link
        self._guard = guard
        self._page = page
        self._turns = turns
        self._cache = cache

    def added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, llm.ChatMessage) or item.role not in ("user", "assistant"):
            return
        text = item.text_content or ""
        if item.role == "assistant":
            text = without_fillers(text, self._guard.clips.fillers, interrupted=item.interrupted)
            item.content = [text]
            if not text:
                return
        self._link.turn(item.role, text, interrupted=item.interrupted)
        if item.role == "user":
            self._cache.drop()
            m = item.metrics
            self._turns.user_turn(
                stopped_at=m.get("stopped_speaking_at"),
                transcript_delay=m.get("transcription_delay"),
                turn_delay=m.get("end_of_turn_delay"),
            )
        else:
            self._report(item)

    def failed(self, event: ErrorEvent) -> None:
        """A part of the session did; the call outlives it."""
        error = getattr(event.error, "error", event.error)
        source = type(event.source).__module__.rsplit(".", 1)[0]
        log.error("%s failed: %s", source, type(error).__name__)
        self._link.note("error", source=source)

    def _report(self, answer: llm.ChatMessage) -> None:
        if (started_at := answer.metrics.get("started_speaking_at")) is not None:
            self._turns.stamp("speaking", started_at)
        report = self._turns.answered(interrupted=answer.interrupted)
        self._link.note("turn", interrupted=report.interrupted, **report.seconds)
        self._page.turn(report.as_dict())
