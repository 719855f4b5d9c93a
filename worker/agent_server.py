"""The worker process: registers with LiveKit, admits calls, starts one job process per call and watches over them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import threading
from typing import Any

import psutil
from livekit.agents import AgentServer, JobRequest

from worker import agent_file
from worker.admission import Admission, Refusal, capacity
from worker.descriptors import can_open_a_call, raise_limit
from worker.drain import Drain
from worker.engine_slots import EngineSlots
from worker.fleet import Fleet
from worker.health import HealthServer, WorkerDesk, WorkerState
from worker.job_link import Command
from worker.job_process import answer_call, prepare_process
from worker.loop_watch import BlockedLoop, LoopLag
from worker.metrics import WorkerMetrics
from worker.settings import Settings, SettingsError

ENGINES_S = 2.0
CLOSE_TIMEOUT_S = 2.5  # idle job processes need less than one; the process ends at most 5 s after its last call
MAX_IDLE_PROCESSES = 4
MEMORY_WARN = 0.8  # of the limit

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT.

    The first lets calls go on for DRAIN_TIMEOUT, a second hands them over to other workers, a third ends them.
    """
    if settings.livekit_api_secret is None:
        raise SettingsError("LIVEKIT_API_SECRET is not set; it is the secret that the LiveKit server was given")
    try:
        agent_file.load(settings.agent_file, must_exist="agent_file" in settings.model_fields_set)
    except agent_file.AgentFileError as error:
        raise SettingsError(str(error)) from None
    raise_limit()
    return asyncio.run(Worker(settings).run())


class Worker:
    """Everything the main process holds. One instance per process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admission = Admission(self._running_rooms, can_start=can_open_a_call)
        self._drain = Drain(
            rooms=lambda: self._fleet.rooms,
            command=lambda *what: self._fleet.command(*what),
            on_cut=lambda: self._metrics.cut.inc(),
        )
        self._metrics = WorkerMetrics(self._admission, drain_s=lambda: self._drain.seconds)
        self._fleet = Fleet(note=self._metrics.note, on_lost=self._admission.keep)
        self._engines = EngineSlots(settings.engine_addresses, settings.models_address)
        self._lag = LoopLag(self._metrics.loop_lag)
        self._blocked = BlockedLoop(self._lag, thread_id=threading.get_ident())
        self._has_registered = False
        self._was_ready = False
        self._left_behind = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._apply_capacity(None)
        self._server = self._build_server()
        key = settings.fleet_key
        self._health = HealthServer(
            settings.host, settings.metrics_port, self._desk(), fleet_key=key.get_secret_value() if key else None
        )

    async def run(self) -> int:
        self._loop = asyncio.get_running_loop()
        await self._fleet.start()
        os.environ["FLEET_SOCKET"] = str(self._fleet.path)  # job processes inherit it
        self._lag.start()
        self._blocked.start()
        await self._health.start()
        stop = self._stop_on_signals()
        polling = asyncio.create_task(self._engines.follow(self._apply_capacity), name="engine-slots")
        with contextlib.suppress(TimeoutError):  # before the first call is offered, what the engines carry is known
            async with asyncio.timeout(ENGINES_S):
                await self._engines.asked.wait()
        serving = asyncio.create_task(self._server.run(devmode=False), name="agent-server")
        stopping = asyncio.create_task(stop.wait(), name="stop-signal")
        try:
            await asyncio.wait({serving, polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, polling):
                if task.done():
                    task.result()
                    return 1
            await self._finish_calls()
            return 0
        finally:
            polling.cancel()
            stopping.cancel()
            await self._close(serving)

    def _build_server(self) -> AgentServer:
        settings = self._settings
        secret = settings.livekit_api_secret
        assert secret is not None
        server = AgentServer(
            ws_url=settings.livekit_url,
            api_key=settings.livekit_api_key,
            api_secret=secret.get_secret_value(),
            host=settings.host,
            port=settings.worker_health_port,
            load_fnc=lambda: self._admission.load,
            load_threshold=math.inf,  # LiveKit's own estimate refuses bursts; admission is exact
            setup_fnc=prepare_process,
            preload_modules=["worker.job_process"],
            num_idle_processes=max(1, min(self._admission.capacity, MAX_IDLE_PROCESSES)),
            initialize_process_timeout=60.0,
            drain_timeout=settings.drain_timeout,
            job_memory_warn_mb=MEMORY_WARN * settings.job_memory_limit_mb,
            job_memory_limit_mb=settings.job_memory_limit_mb,
            log_level="WARN" if settings.log_level == "WARNING" else settings.log_level,  # LiveKit's word for it
        )
        server.rtc_session(answer_call, agent_name=settings.agent_name, on_request=self._on_request)
        server.on("worker_registered", self._on_registered)
        return server

    async def _on_request(self, request: JobRequest) -> None:
        """Exact admission. `terminate=False`: a full worker must not end the job for every other worker."""
        refusal = self._admission.admit(request.room.name)
        if refusal is not None:
            self._count_refusal("job", refusal)
            log.info("job %s refused: %s", request.id, refusal)
            await request.reject(terminate=False)
            return
        try:
            await request.accept(name="agent")
        except BaseException:
            self._admission.release(request.room.name)
            raise

    def _reserve(self, room: str) -> Refusal | None:
        refusal = self._admission.reserve(room)
        if refusal is not None:
            self._count_refusal("token", refusal)
        return refusal

    def _count_refusal(self, door: str, refusal: Refusal) -> None:
        self._metrics.refused.labels(door, refusal).inc()
        if refusal == "no_descriptors":
            log.error("no file descriptors are left for another call: raise `ulimit -n`")

    def _on_registered(self, *_: object) -> None:
        self._has_registered = self._was_ready = True
        log.info("registered with LiveKit; %d calls at once", self._admission.capacity)

    @property
    def _registered(self) -> bool:
        """LiveKit's library tells nobody that its connection is lost; it only notes that it is connecting again."""
        return self._has_registered and not getattr(self._server, "_connecting", False)

    def _running_rooms(self) -> list[str]:
        try:
            return [job.job.room.name for job in self._server.active_jobs]
        except AttributeError:  # before run() the server has no process pool
            return []

    def _desk(self) -> WorkerDesk:
        return WorkerDesk(
            state=self._state,
            fleet=self._describe,
            metrics=self._metrics.render,
            reserve=self._reserve,
            unreserve=self._admission.unreserve,
            command=self._command_from_afar,
            release_job=self._release_from_afar,
        )

    def _state(self) -> WorkerState:
        return WorkerState(self._registered, self._admission.draining, self._blocked.is_blocked, self._was_ready)

    def _describe(self) -> dict[str, Any]:
        admission = self._admission
        return {
            "capacity": admission.capacity,
            "active": admission.active,
            "reserved": sorted(admission.reserved),
            "free": max(0, admission.free),
            "engines": self._engines.speaking,
            "draining": admission.draining,
            "registered": self._registered,
            "starting": sorted(admission.calls - frozenset(self._fleet.rooms)),  # taken; its job has not reported yet
            "hand_over": list(self._drain.hand_over),
            "jobs": self._fleet.jobs(),
            "lost": self._fleet.lost(),
        }

    def _command_from_afar(self, room: str, command: Command) -> bool:
        """From the routes' thread: the jobs' sockets belong to the main loop."""
        if room not in self._fleet.rooms or self._loop is None:
            return False
        self._loop.call_soon_threadsafe(self._drain.tell, room, command)
        return True

    def _release_from_afar(self, job_id: str) -> bool:
        if not self._fleet.has_job(job_id) or self._loop is None:
            return False
        self._loop.call_soon_threadsafe(self._fleet.release, job_id)
        return True

    def _apply_capacity(self, engine_slots: int | None) -> None:
        settings = self._settings
        embedded = settings.llm == "embedded" or settings.stt_provider == "embedded"
        cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1
        self._admission.capacity = capacity(
            max_calls=settings.max_calls, cores=cores, embedded=embedded, engine_slots=engine_slots
        )

    def _stop_on_signals(self) -> asyncio.Event:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, stop)
        return stop

    def _on_signal(self, stop: asyncio.Event) -> None:
        self._admission.draining = True  # at once: /readyz and /fleet say so before anything else happens
        stop.set()
        if self._drain.begin():
            return
        if self._drain.force():
            log.warning("second signal: calls are handed over now; a third ends them")
            return
        log.warning("third signal: calls are ended now")
        os._exit(1)

    async def _finish_calls(self) -> None:
        if not self._admission.active:
            return
        log.info("draining: %d calls go on for at most %d s", self._admission.active, self._settings.drain_timeout)
        if not await self._drain.run(lambda: self._server.drain(timeout=None), timeout_s=self._settings.drain_timeout):
            for _ in self._drain.hand_over:  # neither moved nor told
                self._metrics.cut.inc()
            log.error("%d calls did not end and are cut off", len(self._fleet.rooms))

    async def _close(self, serving: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._server.aclose()
        except TimeoutError:
            log.warning("job processes did not end within %.1f s: they are killed", CLOSE_TIMEOUT_S)
            _kill_children()
            self._left_behind = True
        serving.cancel()
        await asyncio.wait({serving}, timeout=1.0)
        await self._lag.aclose()
        self._blocked.close()
        with contextlib.suppress(TimeoutError):
            await self._health.aclose()
        await self._fleet.aclose()
        if self._left_behind:  # threads of LiveKit's library wait for those processes, and Python would wait for them
            _kill_children()
            logging.shutdown()
            os._exit(0)


def _kill_children() -> None:
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
