"""What the service knows of the workers, and how it gets a place for a call at one of them.

A worker is the only one who writes its places, so that two services never give the same one away: a join token asks it
first. The copies of /fleet say whom to ask, and decide alone only when nobody answers in time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import aiohttp

from worker.api.ledger import RESERVED_S, Ledger
from worker.api.worker_copy import WorkerCopy
from worker.api.worker_names import WorkerNames
from worker.job_link import Command

POLL_S = 0.5
DEADLINE_S = 0.4
RESERVE_S = 0.03  # for all workers together: a refusal must come within 50 ms
RELEASE_S = 2.0
MAX_CONNECTIONS = 32  # to one worker

_NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError, AttributeError)

logger = logging.getLogger(__name__)
Refusal = Literal["no_agents", "at_capacity", "no_descriptors"]
Answer = Literal["given", "refused", "no_descriptors", "silent"]
Listener = Callable[[str, dict[str, Any] | Exception], None]  # a worker's URL; its /fleet, or why there was none


class FleetView:
    """A task of its own keeps the copies fresh."""

    def __init__(
        self, urls: Sequence[str], *, key: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`key`: FLEET_KEY, for workers on other machines."""
        self._names = WorkerNames(urls, clock=clock)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._ledger = Ledger(clock)
        self._held: dict[str, tuple[str, float]] = {}  # room -> worker that holds its place, until
        self._asking: set[asyncio.Task[Answer]] = set()  # bounded by DEADLINE_S for each worker
        self._undecided: set[str] = set()  # rooms that wait for a worker's word
        self._task: asyncio.Task[None] | None = None
        self.on_answer: Listener | None = None  # the watcher's ear
        self.polled = asyncio.Event()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._poll_for_ever(), name="fleet-view")

    async def aclose(self) -> None:
        tasks = [*self._asking, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def reserve(self, room: str) -> Refusal | None:
        """Hold a place for `room`; within about RESERVE_S the reason when there is none."""
        if not self.workers():
            return "no_agents"
        if self.free() <= self._before_it():  # a crowd is refused at once
            return "at_capacity"
        asking = asyncio.create_task(self._find_place(room), name="place-for-a-call")
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        self._undecided.add(room)
        try:
            done, _ = await asyncio.wait({asking}, timeout=RESERVE_S)
        finally:
            self._undecided.discard(room)
        answer = asking.result() if done else "silent"
        # Also a place that a worker holds must fit beside those that were given without a worker's word.
        if answer in ("given", "silent") and self._ledger.give(room):
            return None
        if not done:
            self._ledger.withdrawn.add(room)
        elif answer == "given":
            await self._return(room)
        return "no_descriptors" if answer == "no_descriptors" else "at_capacity"

    def _before_it(self) -> int:
        """Places that those who asked before will have; one that a worker has told of is counted by `free` already."""
        told: frozenset[str] = frozenset().union(*(worker.reserved for worker in self.workers()))
        return len(self._undecided - told)

    async def release(self, url: str, room: str, action: Command, *, job_id: str | None = None) -> bool:
        """Tell the job in `room` of the worker at `url`; False when that worker has none, or does not answer.

        `job_id`: which one, where a room has two.
        """
        asked = {"room": room, "action": action} | ({"job_id": job_id} if job_id else {})
        try:
            async with asyncio.timeout(RELEASE_S):
                status, _ = await self._post(f"{url}/fleet/release", asked)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("the worker at %s was not told to leave a room: %s", url, type(error).__name__)
            return False
        return status == 200

    @property
    def copies(self) -> dict[str, WorkerCopy]:
        """Every worker that ever answered."""
        return self._ledger.copies

    def free(self) -> int:
        """Calls that can begin now."""
        return self._ledger.free()

    def workers(self) -> list[WorkerCopy]:
        """Workers that answer and take calls."""
        return self._ledger.workers()

    def note(self, url: str, fleet: Mapping[str, Any]) -> None:
        """Take in one answer of /fleet. KeyError, TypeError or ValueError when it is not one."""
        self._ledger.note(url, fleet)

    async def ask_again(self, url: str) -> None:
        """Ask one worker now, not at the next round."""
        await self._ask(url)

    async def poll(self) -> None:
        await asyncio.gather(*(self._ask(url) for url in await self._names.urls()))
        self.polled.set()
        await self._give_back()

    async def _find_place(self, room: str) -> Answer:
        """At the worker with most room, else at the next. Goes on when its caller has no time left to wait."""
        silent = False
        refused: Answer = "refused"
        for worker in sorted(self.workers(), key=lambda w: -w.free):
            answer = await self._ask_for_place(worker.url, room)
            if answer == "given":
                self._held[room] = (worker.url, self._clock() + RESERVED_S)
                if room in self._ledger.withdrawn:
                    await self._return(room)
                return "given"
            silent |= answer == "silent"
            refused = answer if answer == "no_descriptors" else refused
        self._ledger.withdrawn.discard(room)
        return "silent" if silent else refused

    async def _ask_for_place(self, url: str, room: str) -> Answer:
        try:
            status, said = await self._post(f"{url}/fleet/reserve", {"room": room})
            if status == 200:
                self._ledger.note_place(url, said)
                return "given"
            if status != 503 or not said.get("code"):
                return "silent"
            return "no_descriptors" if said["code"] == "no_descriptors" else "refused"
        except _NO_ANSWER as error:
            logger.debug("the worker at %s holds no place: %s", url, type(error).__name__)
            return "silent"

    async def _give_back(self) -> None:
        """LiveKit chooses the worker: a place that another one held for that room is free again."""
        now = self._clock()
        homes = {room: url for url, copy in self.copies.items() for room in copy.with_job}
        for room, (url, until) in list(self._held.items()):
            if homes.get(room, url) != url:
                await self._return(room)
            elif room in homes or until <= now:
                del self._held[room]

    async def _return(self, room: str) -> None:
        """The place that a worker holds for `room` is not needed."""
        url, _ = self._held.pop(room)
        try:
            await self._post(f"{url}/fleet/unreserve", {"room": room})
            await self._ask(url)
        except _NO_ANSWER as error:  # it lapses by itself
            logger.debug("the worker at %s keeps a place: %s", url, type(error).__name__)
        self._ledger.withdrawn.discard(room)

    async def _post(self, url: str, body: Mapping[str, str]) -> tuple[int, Any]:
        async with self._http().post(url, json=body) as response:
            return response.status, await response.json()

    async def _poll_for_ever(self) -> None:
        while True:
            next_s = self._clock() + POLL_S
            try:
                await self.poll()
            except Exception:
                logger.exception("the fleet could not be asked")
            await asyncio.sleep(max(0.0, next_s - self._clock()))

    async def _ask(self, url: str) -> None:
        said: dict[str, Any] | Exception
        try:
            async with self._http().get(f"{url}/fleet") as response:
                response.raise_for_status()
                self.note(url, said := await response.json())
        except _NO_ANSWER as error:
            logger.debug("the worker at %s does not answer: %s", url, type(error).__name__)
            self._ledger.note_silence(url, refused=isinstance(error, aiohttp.ClientConnectorError))
            said = error
        if self.on_answer is not None:
            self.on_answer(url, said)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=DEADLINE_S),
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=MAX_CONNECTIONS),
                headers=self._headers,
            )
        return self._session
