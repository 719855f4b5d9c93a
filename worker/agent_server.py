"""The worker process: registers with LiveKit, admits calls, starts one job process per call and watches over them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal

import aiohttp
import psutil
from livekit.agents import AgentServer, JobRequest

from worker import agent_file
from worker.admission import Admission, capacity
from worker.call import answer_call, prepare_process
from worker.fleet import Fleet
from worker.health import HealthServer, WorkerState
from worker.metrics import WorkerMetrics
from worker.settings import Settings, SettingsError

ENGINE_POLL_S = 2.0
CLOSE_TIMEOUT_S = 10.0
MAX_IDLE_PROCESSES = 4

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the first lets calls go on for DRAIN_TIMEOUT, a second one ends them."""
    if settings.livekit_api_secret is None:
        raise SettingsError("LIVEKIT_API_SECRET is not set; it is the secret that the LiveKit server was given")
    try:
        agent_file.load(settings.agent_file, must_exist="agent_file" in settings.model_fields_set)
    except agent_file.AgentFileError as error:
        raise SettingsError(str(error)) from None
    return asyncio.run(Worker(settings).run())


class Worker:
    """Everything the main process holds. One instance per process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admission = Admission(self._running_jobs)
        self._metrics = WorkerMetrics(self._admission)
        self._fleet = Fleet(note=self._metrics.note)
        self._registered = False
        self._apply_capacity(None)
        self._server = self._build_server()
        self._health = HealthServer(
            settings.host, settings.metrics_port, state=self._state, jobs=self._fleet.jobs, metrics=self._metrics.render
        )

    async def run(self) -> int:
        await self._fleet.start()
        os.environ["FLEET_SOCKET"] = str(self._fleet.path)  # job processes inherit it
        await self._health.start()
        stop = self._stop_on_signals()
        serving = asyncio.create_task(self._server.run(devmode=False), name="agent-server")
        polling = asyncio.create_task(self._poll_engine(), name="engine-poll")
        stopping = asyncio.create_task(stop.wait(), name="stop-signal")
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
                return 1
            await self._drain()
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
            preload_modules=["worker.call"],
            num_idle_processes=max(1, min(self._admission.capacity, MAX_IDLE_PROCESSES)),
            initialize_process_timeout=60.0,
            drain_timeout=settings.drain_timeout,
            job_memory_warn_mb=700,
            log_level="WARN" if settings.log_level == "WARNING" else settings.log_level,  # LiveKit's word for it
        )
        server.rtc_session(answer_call, agent_name=settings.agent_name, on_request=self._on_request)
        server.on("worker_registered", self._on_registered)
        return server

    async def _on_request(self, request: JobRequest) -> None:
        """Exact admission. `terminate=False`: a full worker must not end the job for every other worker."""
        if not self._admission.admit(request.id):
            self._metrics.refused.inc()
            log.info("job %s refused: %d of %d calls", request.id, self._admission.active, self._admission.capacity)
            await request.reject(terminate=False)
            return
        try:
            await request.accept(name="agent")
        except BaseException:
            self._admission.release(request.id)
            raise

    def _on_registered(self, *_: object) -> None:
        self._registered = True
        log.info("registered with LiveKit; %d calls at once", self._admission.capacity)

    def _running_jobs(self) -> list[str]:
        try:
            return [job.job.id for job in self._server.active_jobs]
        except AttributeError:  # before run() the server has no process pool
            return []

    def _state(self) -> WorkerState:
        a = self._admission
        return WorkerState(self._registered, a.draining, a.capacity, a.active)

    async def _poll_engine(self) -> None:
        """Follow the engine's slots: a call that no engine slot can speak for is not taken."""
        timeout = aiohttp.ClientTimeout(total=1.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                slots: int | None = None
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError, KeyError):
                    async with session.get(f"{self._settings.engine_address}/health") as response:
                        slots = int((await response.json())["slots"])
                self._apply_capacity(slots)
                await asyncio.sleep(ENGINE_POLL_S)

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
        if stop.is_set():
            log.warning("second signal: calls are ended now")
            os._exit(1)
        stop.set()

    async def _drain(self) -> None:
        self._admission.draining = True
        if self._admission.active and self._settings.drain_timeout:
            log.info("draining: %d calls go on for at most %d s", self._admission.active, self._settings.drain_timeout)
            with contextlib.suppress(TimeoutError):
                await self._server.drain(timeout=self._settings.drain_timeout)

    async def _close(self, serving: asyncio.Task[None]) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.aclose(), CLOSE_TIMEOUT_S)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await self._health.aclose()
        await self._fleet.aclose()
