"""A job's end of the fleet channel: one unix socket to its worker's main process, lines of JSON both ways.

Ticks come from the job's own event loop, so that a frozen loop is seen as silence. A worker that cannot be reached
never disturbs the call: the link drops what it cannot send and counts it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from worker.loop_watch import LoopLag

TICK_S = 0.5
MAX_PENDING = 256  # messages; ticks and numbers of one call are a few per second
MAX_TURN_CHARS = 4_000  # of one turn, for a successor; a line of JSON stays below the worker's bound in any script
CONNECT_TIMEOUT_S = 2.0
BYE_TIMEOUT_S = 0.5

log = logging.getLogger(__name__)
Command = Literal["release", "goodbye"]


class JobLink:
    """Tells the worker what the call does. `note` and `turn` never block and never raise.

    `on_command` gets what the worker wants of the call: "release" (leave the room, another agent takes over) or
    "goodbye" (say so and hang up).
    """

    def __init__(
        self,
        path: Path | None,
        *,
        job_id: str,
        room: str,
        room_sid: str,
        on_command: Callable[[Command], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._hello = {"type": "hello", "job_id": job_id, "room": room, "room_sid": room_sid, "pid": os.getpid()}
        self._on_command = on_command
        self._pending: asyncio.Queue[Mapping[str, object]] = asyncio.Queue(MAX_PENDING)
        self._task: asyncio.Task[None] | None = None
        self._lag = LoopLag(lambda longest_s: self.note("loop_lag", max_s=longest_s))
        self.dropped = 0

    def start(self) -> None:
        if self._path is not None:
            self._task = asyncio.create_task(self._run(self._path), name="fleet-link")
            self._lag.start()

    async def aclose(self) -> None:
        """Say that the call is over, and close. Without it the worker takes the job for dead."""
        await self._lag.aclose()
        if self._task is None:
            return
        self._put({"type": "bye"})
        try:
            async with asyncio.timeout(BYE_TIMEOUT_S):
                await self._pending.join()
        except (TimeoutError, OSError):
            log.warning("the worker was not told that the call is over")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def turn(self, role: str, text: str, *, interrupted: bool) -> None:
        """A turn was committed to the history; a successor of this job gets the last ones."""
        self._put({"type": "turn", "role": role, "text": text[:MAX_TURN_CHARS], "interrupted": interrupted})

    def note(self, event: str, **values: float | str) -> None:
        """A number for the worker's metrics, e.g. `note("turn", e2e_s=0.9)`."""
        self._put({"type": "note", "event": event, "values": values})

    def _put(self, message: Mapping[str, object]) -> None:
        try:
            self._pending.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped += 1

    async def _run(self, path: Path) -> None:
        reachable = True
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):  # wait_for would swallow a cancel now and then
                    reader, writer = await asyncio.open_unix_connection(str(path))
            except (OSError, TimeoutError) as error:
                if reachable:  # once per outage
                    log.warning("the worker's fleet socket cannot be reached: %s", type(error).__name__)
                reachable = False
                await asyncio.sleep(TICK_S)
                continue
            reachable = True
            listening = asyncio.create_task(self._listen(reader), name="fleet-commands")
            try:
                await self._talk(writer)
            except OSError:
                log.warning("the worker's fleet socket was closed")
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                writer.close()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        await _send(writer, self._hello)
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    message = await self._pending.get()
            except TimeoutError:
                await _send(writer, {"type": "tick"})
                continue
            try:
                await _send(writer, message)
            finally:
                self._pending.task_done()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            command = json.loads(line).get("command")
            if command in get_args(Command):
                try:
                    self._on_command(command)
                except Exception:  # the next command must still be heard
                    log.exception("the command %s failed", command)
            else:
                log.warning("the worker sent a command that is not known here")


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, object]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()
