"""The worker's routes on METRICS_PORT: /metrics, /livez, /readyz, /startupz; /fleet for HTTP service and watcher.

They are served by a thread of their own, so that a blocked main loop is seen and not merely silent. Room is never part
of readiness: a full worker is ready. /fleet carries the calls' last words and its commands end calls, so it answers to
programs of this machine and to who has FLEET_KEY, and never to a web page.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, NamedTuple, get_args

from aiohttp import web

from worker.admission import Refusal
from worker.job_link import Command

BODY_BYTES = 1024
START_S = 10.0
STOP_S = 3.0
MAX_ROOM_CHARS = 256

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class WorkerState(NamedTuple):
    registered: bool
    draining: bool
    blocked: bool = False  # its main loop gets no turn
    was_ready: bool = False


@dataclass(frozen=True, slots=True)
class WorkerDesk:
    """What the routes ask of the worker. Called in the routes' thread."""

    state: Callable[[], WorkerState]
    fleet: Callable[[], dict[str, Any]]
    metrics: Callable[[], bytes]
    reserve: Callable[[str], Refusal | None]  # room
    unreserve: Callable[[str], None]
    command: Callable[[str, Command], bool]  # False: there is no such room
    release_job: Callable[[str], bool] = lambda _: False  # of two jobs in one room; False: there is no such job


class HealthServer:
    def __init__(self, host: str, port: int, desk: WorkerDesk, *, fleet_key: str | None = None) -> None:
        """`fleet_key`: what other machines must send; None: they are refused."""
        self._host, self._port = host, port
        self._desk = desk
        self._fleet_key = fleet_key
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="health-routes", daemon=True)
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The one it listens at, also where 0 was asked for."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """OSError when the port cannot be had."""
        self._thread.start()
        async with asyncio.timeout(START_S):
            await self._over_there(self._open)

    async def aclose(self) -> None:
        if self._thread.is_alive():
            async with asyncio.timeout(STOP_S):
                await self._over_there(self._close)
            self._loop.call_soon_threadsafe(self._loop.stop)
            await asyncio.to_thread(self._thread.join, STOP_S)
        if not self._loop.is_running():
            self._loop.close()

    def _over_there(self, work: Callable[[], Any]) -> asyncio.Future[None]:
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))

    async def _open(self) -> None:
        app = web.Application(client_max_size=BODY_BYTES)
        app.add_routes(
            [
                web.get("/metrics", self._get_metrics),
                web.get("/livez", self._get_livez),
                web.get("/readyz", self._get_readyz),
                web.get("/startupz", self._get_startupz),
                web.get("/fleet", self._guarded(self._get_fleet)),
                web.post("/fleet/reserve", self._guarded(self._reserve)),
                web.post("/fleet/unreserve", self._guarded(self._unreserve)),
                web.post("/fleet/release", self._guarded(self._release)),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=30, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._desk.metrics(), content_type="text/plain", charset="utf-8")

    async def _get_livez(self, _: web.Request) -> web.Response:
        blocked = self._desk.state().blocked
        return _status("the event loop is blocked" if blocked else "alive", not blocked)

    async def _get_readyz(self, _: web.Request) -> web.Response:
        state = self._desk.state()
        reason = "draining" if state.draining else "ready" if state.registered else "not registered with LiveKit"
        return _status(reason, reason == "ready")

    async def _get_startupz(self, _: web.Request) -> web.Response:
        started = self._desk.state().was_ready
        return _status("started" if started else "starting", started)

    async def _get_fleet(self, _: web.Request) -> web.Response:
        return web.json_response(self._desk.fleet())

    async def _reserve(self, request: web.Request) -> web.Response:
        room = await _room(request)
        refusal = "blocked" if self._desk.state().blocked else self._desk.reserve(room)
        if refusal is None:
            return web.json_response(self._desk.fleet() | {"jobs": [], "lost": []})
        return web.json_response(
            {"code": refusal, "message": _REFUSED[refusal]}, status=503, headers={"Retry-After": "5"}
        )

    async def _unreserve(self, request: web.Request) -> web.Response:
        self._desk.unreserve(await _room(request))
        return web.json_response({})

    async def _release(self, request: web.Request) -> web.Response:
        room, said = await _room(request), await request.json()
        action, job_id = said.get("action"), said.get("job_id")
        if action not in get_args(Command):
            raise _invalid(f"action is {str(action)[:40]!r}; allowed: {', '.join(get_args(Command))}")
        one = isinstance(job_id, str) and action == "release"
        if self._desk.release_job(job_id) if one else self._desk.command(room, action):
            return web.json_response({})
        return web.json_response({"code": "not_found", "message": "no job of this worker is in that room"}, status=404)

    def _guarded(self, handler: _Handler) -> _Handler:
        async def guarded(request: web.Request) -> web.Response:
            if not self._may(request):
                said = "/fleet answers to programs of this machine, and to others with FLEET_KEY as a bearer token"
                return web.json_response({"code": "forbidden", "message": said}, status=403)
            return await handler(request)

        return guarded

    def _may(self, request: web.Request) -> bool:
        if "Origin" in request.headers:  # a web page, which a browser of this machine would otherwise let in
            return False
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if self._fleet_key and hmac.compare_digest(given, self._fleet_key.encode()):
            return True
        return _is_loopback(request.remote) and _is_loopback(request.url.host)


_REFUSED = {
    "at_capacity": "This worker has no room for another call.",
    "draining": "This worker is stopping.",
    "no_descriptors": "This worker has no file descriptors left for another call: raise `ulimit -n`.",
    "blocked": "This worker's event loop is blocked.",
}


def _status(text: str, good: bool) -> web.Response:
    return web.json_response({"status": text}, status=200 if good else 503)


def _is_loopback(host: str | None) -> bool:
    """Also of the Host header: a name that merely resolves to this machine is another site's."""
    try:
        return host == "localhost" or ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


async def _room(request: web.Request) -> str:
    if request.content_type != "application/json":
        raise _invalid("the body must be sent as Content-Type: application/json")
    try:
        room = (await request.json())["room"]
    except (ValueError, KeyError, TypeError):
        raise _invalid("the body must be a JSON object with a field room") from None
    if not isinstance(room, str) or not 0 < len(room) <= MAX_ROOM_CHARS:
        raise _invalid(f"room must be a text of 1 to {MAX_ROOM_CHARS} characters")
    return room


def _invalid(message: str) -> web.HTTPException:
    return web.HTTPUnprocessableEntity(
        text=json.dumps({"code": "invalid", "message": message}), content_type="application/json"
    )
