"""What is said, when, and the sound of it as parts of one body: the events without base64."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable

from starlette.types import Send

from worker.api.broken_off import BreakableAnswer, send_body
from worker.api.errors import ApiError, problem
from worker.api.events import Event

MEDIA_TYPE = "multipart/mixed"


def is_wanted(accept: str) -> bool:
    """Whether an Accept header names it; wildcards do not."""
    return any(part.partition(";")[0].strip().lower() == MEDIA_TYPE for part in accept.split(","))


class MultipartAnswer(BreakableAnswer):
    """Each event is a part named after it: JSON, or sound of the type that `started` told. `release` as of events."""

    def __init__(self, events: AsyncIterator[Event], release: Callable[[], None]) -> None:
        self._boundary = secrets.token_hex(16)  # 128 random bits: no sound holds them
        super().__init__(f"{MEDIA_TYPE}; boundary={self._boundary}")
        self._events, self._at_end = events, release
        self._sound_type = "application/octet-stream"

    async def _send_all(self, send: Send) -> None:
        try:
            async for event in self._events:
                if event.name == "started":
                    self._sound_type = event.data["media_type"]
                await send_body(send, self._part(event), more=True)
        except ApiError as error:
            await send_body(send, self._part(Event("error", problem(error))), more=True)
        await send_body(send, f"--{self._boundary}--\r\n".encode(), more=False)

    def _part(self, event: Event) -> bytes:
        content = event.sound or json.dumps(event.data, separators=(",", ":")).encode()
        media_type = self._sound_type if event.sound else "application/json"
        head = (
            f"--{self._boundary}\r\nContent-Type: {media_type}\r\n"
            f'Content-Disposition: inline; name="{event.name}"\r\nContent-Length: {len(content)}\r\n\r\n'
        )
        return head.encode() + content + b"\r\n"

    def _release(self) -> None:
        self._at_end()
