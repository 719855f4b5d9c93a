"""The watcher at work: hears the workers, looks into rooms, does what the policy says, counts it.

One visit per room at a time, so that what was decided on one look is done before the next look.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import Any

import aiohttp

from worker.api.fleet_view import FleetView
from worker.api.metrics import HttpMetrics
from worker.settings import Settings, SettingsError
from worker.watch.actions import Action, Dispatch, Fail, RemoveAgent, TellWorker, Withdraw
from worker.watch.conversations import Conversations
from worker.watch.lease import Lease
from worker.watch.livekit_rooms import LiveKitFailed, LiveKitRooms
from worker.watch.roll import Silence
from worker.watch.sights import read_fleet
from worker.watcher import Watcher

ROUND_S = 0.25
LIST_S = 1.0  # between two looks at all rooms
AUDIT_S = 10.0  # between two looks at rooms that are well, or not ours
VISIT_S = 8.0  # a bound on one visit; each of its questions has its own, shorter one
MAX_VISITS = 32
MAX_HINTS = 1_000
MAX_QUIET = 10_000
_OUR_OWN_NEED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

log = logging.getLogger(__name__)


class Patrol:
    """One watcher with its tasks. `hint(room)`: something happened there, look soon."""

    def __init__(self, settings: Settings, fleet: FleetView, metrics: HttpMetrics) -> None:
        """SettingsError when there is no secret to ask LiveKit with."""
        if settings.livekit_api_secret is None:
            raise SettingsError("LIVEKIT_API_SECRET is not set; it is the secret that the LiveKit server was given")
        self._fleet = fleet
        self._metrics = metrics
        self._rooms = LiveKitRooms(
            settings.livekit_url,
            settings.livekit_api_key,
            settings.livekit_api_secret.get_secret_value(),
            agent_name=settings.agent_name,
        )
        self._lease, self._conversations = _in_redis(settings)
        self._watcher = Watcher(agent_wait_s=settings.agent_wait_s, ring_s=settings.phone_ring_s)
        self._hints: set[str] = set()
        self._hinted = asyncio.Event()
        self._quiet: dict[str, float] = {}  # room -> until when nobody needs to look
        self._visits: dict[str, asyncio.Task[None]] = {}
        self._listed_s = float("-inf")
        self._reachable = True
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._rooms.open()
        if self._lease is not None:
            await self._lease.start()
        self._fleet.on_answer = self._on_answer
        self._task = asyncio.create_task(self._rounds(), name="watcher")

    async def aclose(self) -> None:
        self._fleet.on_answer = None
        tasks = [task for task in (self._task, *self._visits.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._lease is not None:
            await self._lease.aclose()
        if self._conversations is not None:
            await self._conversations.aclose()
        await self._rooms.aclose()

    def hint(self, room: str) -> None:
        """Look into this room now. More of them than can be seen at once are left to the next look at all rooms."""
        if len(self._hints) < MAX_HINTS:
            self._hints.add(room)
            self._hinted.set()

    @property
    def acts(self) -> bool:
        return self._lease is None or self._lease.held

    async def _rounds(self) -> None:
        due_s = time.monotonic()
        while True:
            self._metrics.watcher_lag.set(max(0.0, time.monotonic() - due_s))
            self._metrics.watcher_acts.set(self.acts)
            self._metrics.agentless_rooms.set(self._watcher.agentless if self.acts else 0)
            try:
                await self._round()
            except Exception:
                log.exception("a round of the watcher failed")
            due_s = time.monotonic() + ROUND_S
            try:
                async with asyncio.timeout(ROUND_S):
                    await self._hinted.wait()
            except TimeoutError:
                pass

    async def _round(self) -> None:
        hints, self._hints = self._hints, set()
        self._hinted.clear()
        await asyncio.gather(*(self._fleet.ask_again(url) for url in self._watcher.roll.doubtful()))
        if not self.acts:
            return
        for room in hints | self._watcher.suspects():
            self._visit(room)
        for room in await self._listed():
            self._visit(room)
        if self._conversations is not None:
            await self._conversations.save(self._watcher.roll.conversations())

    async def _listed(self) -> list[str]:
        """Rooms that are due without a particular reason: at most once in LIST_S."""
        now = time.monotonic()
        if now - self._listed_s < LIST_S:
            return []
        self._listed_s = now
        try:
            names = await self._rooms.names()
        except LiveKitFailed as error:
            self._complain(error)
            return []
        self._reachable = True
        self._quiet = {room: until for room, until in self._quiet.items() if until > now}
        return [room for room in names if room not in self._quiet]

    def _visit(self, room: str) -> None:
        """Begin a visit, unless one is under way there or too many are: the next round comes soon."""
        if room in self._visits or len(self._visits) >= MAX_VISITS:
            return
        task = asyncio.create_task(self._look_and_act(room), name="watcher-visit")
        self._visits[room] = task
        task.add_done_callback(lambda _: self._visits.pop(room, None))

    async def _look_and_act(self, room: str) -> None:
        try:
            async with asyncio.timeout(VISIT_S):
                look = await self._rooms.look(room, known=self._watcher.roll.knows(room))
                if look is None:
                    self._rest(room)
                    return
                if self._conversations is not None and look.callers and not self._watcher.roll.turns(room):
                    self._watcher.roll.remember(room, await self._conversations.load(room))
                await self._act(self._watcher.judge(look))
                if room in self._watcher.roll.settled():
                    self._rest(room)
        except LiveKitFailed as error:
            self._complain(error)
        except TimeoutError:
            log.warning("a visit to a room took more than %.0f s", VISIT_S)
        except Exception:
            log.exception("a visit to a room failed")

    async def _act(self, actions: list[Action]) -> None:
        """In their order. Where one fails, those after it are not done: an agent is sent for beside no ghost."""
        while actions:
            try:
                await self._do(actions[0])
            except (LiveKitFailed, TimeoutError, asyncio.CancelledError):
                for action in actions:
                    if isinstance(action, Dispatch):
                        self._watcher.not_done(action)
                raise
            del actions[0]

    def _rest(self, room: str) -> None:
        if len(self._quiet) < MAX_QUIET:
            self._quiet[room] = time.monotonic() + AUDIT_S

    async def _do(self, action: Action) -> None:
        match action:
            case RemoveAgent(room, identity):
                await self._rooms.remove(room, identity)
                log.warning("a dead agent was removed from its room")
                self._metrics.ghosts.inc()
            case Withdraw(room, dispatch_id):
                await self._rooms.withdraw(room, dispatch_id)
                log.warning("a second agent of an unknown worker was sent away")
                self._metrics.duplicates.inc()
            case Dispatch():
                await self._dispatch(action)
            case TellWorker(url, room, job_id, what, repeated):
                told = await self._fleet.release(url, room, what, job_id=job_id)
                log.warning("a worker was asked for: %s (%s)", what, "done" if told else "no answer")
                if what == "release" and not repeated:
                    self._metrics.duplicates.inc()
            case Fail(room, code):
                log.error("a call is given up: %s", code)
                self._metrics.failed_calls.labels(code).inc()
                await self._rooms.fail(room, code)

    async def _dispatch(self, action: Dispatch) -> None:
        if await self._rooms.dispatch(action):
            log.warning("an agent was sent for: %s", action.handover.reason)
            self._metrics.redispatches.labels(action.handover.reason).inc()

    def _on_answer(self, url: str, said: dict[str, Any] | Exception) -> None:
        if isinstance(said, Exception):
            self._watcher.unheard(url, silence(said))
            return
        try:
            self._watcher.heard(url, read_fleet(said))
        except (KeyError, TypeError, ValueError, AttributeError):
            self._watcher.unheard(url, "unusable")

    def _complain(self, error: LiveKitFailed) -> None:
        if self._reachable:  # once per outage
            log.warning("the watcher cannot see the rooms: %s", error)
        self._reachable = False


def _in_redis(settings: Settings) -> tuple[Lease | None, Conversations | None]:
    if settings.redis_url is None:
        return None, None
    url = settings.redis_url.get_secret_value()
    try:
        return Lease(url, agent_name=settings.agent_name), Conversations(url)
    except ValueError:
        raise SettingsError(
            "REDIS_URL (hidden) is no address of redis; allowed: redis://host:port, or rediss://, unix://"
        ) from None


def silence(error: Exception) -> Silence:
    """What it says of a worker that it did not answer so."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionRefusedError):
        return "refused"
    if isinstance(cause, OSError) and cause.errno in _OUR_OWN_NEED:
        return "unusable"  # that is said of us, not of the worker
    return "silent" if isinstance(error, aiohttp.ClientConnectionError | TimeoutError | OSError) else "unusable"
