"""What the service knows of the workers: the last copy of each one's /fleet, and how many more calls they can take.

A join token that was handed out holds a place until its room has a job, or until RESERVED_S are over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

POLL_S = 0.5
DEADLINE_S = 0.4
STALE_AFTER_S = 3.0  # a busy machine misses a poll or two; a worker that misses six is gone
RESERVED_S = 15.0

logger = logging.getLogger(__name__)
Refusal = Literal["no_agents", "at_capacity"]
Listener = Callable[[str, dict[str, Any] | Exception], None]  # a worker's URL; its /fleet, or why there was none


@dataclass(frozen=True, slots=True)
class WorkerCopy:
    """One worker as it described itself at `seen_s` (monotonic)."""

    capacity: int
    active: int
    draining: bool
    rooms: frozenset[str]
    seen_s: float


class FleetView:
    """`reserve` answers from memory; a task of its own keeps the copies fresh."""

    def __init__(self, urls: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._urls = tuple(urls)
        self._clock = clock
        self._copies: dict[str, WorkerCopy] = {}
        self._reserved: dict[str, float] = {}  # room -> until; bounded by the fleet's capacity
        self._task: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self.polled = asyncio.Event()
        self.on_answer: Listener | None = None  # the watcher's ear

    async def start(self) -> None:
        self._task = asyncio.create_task(self._poll_for_ever(), name="fleet-view")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def reserve(self, room: str) -> Refusal | None:
        """Hold a place for `room`; the reason when there is none."""
        workers = self.workers()
        if not workers:
            return "no_agents"
        if self.free() <= 0:
            return "at_capacity"
        self._reserved[room] = self._clock() + RESERVED_S
        return None

    def free(self) -> int:
        """Calls that can begin now."""
        workers = self.workers()
        in_rooms = sum(len(w.rooms) for w in workers)
        # A worker counts a call before its job names the room; that call is one of ours, so it is not counted twice.
        unnamed = max(0, sum(w.active for w in workers) - in_rooms)
        return sum(w.capacity for w in workers) - in_rooms - max(unnamed, self._outstanding())

    def workers(self) -> list[WorkerCopy]:
        """Workers that answer and take calls."""
        since = self._clock() - STALE_AFTER_S
        return [w for w in self._copies.values() if w.seen_s >= since and not w.draining]

    def note(self, url: str, fleet: dict[str, Any]) -> None:
        """Take in one answer of /fleet. KeyError, TypeError or ValueError when it is not one."""
        self._copies[url] = WorkerCopy(
            capacity=int(fleet["capacity"]),
            active=int(fleet["active"]),
            draining=bool(fleet["draining"]) or not fleet.get("registered", True),
            rooms=frozenset(str(job["room"]) for job in fleet["jobs"]),
            seen_s=self._clock(),
        )
        for room in self._copies[url].rooms:
            self._reserved.pop(room, None)

    async def poll(self, session: aiohttp.ClientSession) -> None:
        await asyncio.gather(*(self._ask(session, url) for url in self._urls))
        self.polled.set()

    async def ask_again(self, url: str) -> None:
        """Ask one worker now, not at the next round."""
        if self._session is not None:
            await self._ask(self._session, url)

    def _outstanding(self) -> int:
        now = self._clock()
        self._reserved = {room: until for room, until in self._reserved.items() if until > now}
        return len(self._reserved)

    async def _poll_for_ever(self) -> None:
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            self._session = session
            while True:
                next_s = self._clock() + POLL_S
                try:
                    await self.poll(session)
                except Exception:
                    logger.exception("the fleet could not be asked")
                await asyncio.sleep(max(0.0, next_s - self._clock()))

    async def _ask(self, session: aiohttp.ClientSession, url: str) -> None:
        said: dict[str, Any] | Exception
        try:
            async with session.get(f"{url}/fleet") as response:
                response.raise_for_status()
                self.note(url, said := await response.json())
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError) as error:
            logger.debug("the worker at %s does not answer: %s", url, type(error).__name__)
            said = error
        if self.on_answer is not None:
            self.on_answer(url, said)
