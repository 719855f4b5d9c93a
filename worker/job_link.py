"""A job's end of the fleet channel: one unix socket to its worker's main process, lines of JSON upwards.

Ticks come from the job's own event loop, so that a frozen loop is seen as silence. A worker that cannot be reached
never disturbs the call: the link drops what it cannot send and counts it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

TICK_S = 0.5
MAX_PENDING = 256  # messages; ticks and numbers of one call are a few per second
CONNECT_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


class JobLink:
    """Tells the worker what the call does. `note` and `turn` never block and never raise."""

    def __init__(self, path: Path | None, *, job_id: str, room: str, room_sid: str) -> None:
        self._path = path
        self._hello = {"type": "hello", "job_id": job_id, "room": room, "room_sid": room_sid, "pid": os.getpid()}
        self._pending: asyncio.Queue[Mapping[str, object]] = asyncio.Queue(MAX_PENDING)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self) -> None:
        if self._path is not None:
            self._task = asyncio.create_task(self._run(self._path), name="fleet-link")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def turn(self, role: str, text: str, *, interrupted: bool) -> None:
        """A turn was committed to the history; a successor of this job gets the last ones."""
        self._put({"type": "turn", "role": role, "text": text, "interrupted": interrupted})

    def note(self, event: str, **values: float | str) -> None:
        """A number for the worker's metrics, e.g. `note("turn", e2e_s=0.9)`."""
        self._put({"type": "note", "event": event, "values": values})

    def _put(self, message: Mapping[str, object]) -> None:
        try:
            self._pending.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped += 1

    async def _run(self, path: Path) -> None:
        while True:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_unix_connection(str(path)), CONNECT_TIMEOUT_S)
            except (OSError, TimeoutError) as error:
                log.warning("the worker's fleet socket cannot be reached: %s", type(error).__name__)
                await asyncio.sleep(TICK_S)
                continue
            try:
                await self._talk(writer)
            except OSError:
                log.warning("the worker's fleet socket was closed")
            finally:
                writer.close()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        message: Mapping[str, object] = self._hello
        while True:
            writer.write(json.dumps(message).encode() + b"\n")
            await writer.drain()
            try:
                message = await asyncio.wait_for(self._pending.get(), TICK_S)
            except TimeoutError:
                message = {"type": "tick"}
