"""What a worker knows of its jobs: a unix socket that each job keeps open, and the table read by `GET /fleet`.

End of file means the job is gone; without a word of farewell its call is lost, and a successor needs its last turns. A
job that sends nothing for FROZEN_AFTER_S is frozen and is killed, unless its main thread still computes (then it is
starved, and has until STARVED_AFTER_S) or this process itself was late: a machine that is too busy is no proof.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from worker.job import Cause, Job, LostJob
from worker.job_link import Command

CHECK_S = 0.25
FROZEN_AFTER_S = 2.0
STARVED_AFTER_S = 10.0
LATE_S = 0.5
MAX_LINE_BYTES = 64 * 1024
LOST_KEPT = 256

log = logging.getLogger(__name__)
Note = Callable[[str, dict[str, Any], str], None]


class Fleet:
    """The server end of the fleet channel. `jobs` and `lost` may be asked from any thread."""

    def __init__(
        self,
        *,
        note: Note,
        on_lost: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        kill: Callable[[int, int], None] = os.kill,
        cpu_s: Callable[[int], float | None] | None = None,
        frozen_after_s: float = FROZEN_AFTER_S,
    ) -> None:
        """`note(event, values, job_id)` gets the numbers, `on_lost(room)` each call whose job died."""
        self._note = note
        self._on_lost = on_lost
        self._clock = clock
        self._kill = kill
        self._cpu_s = cpu_s or main_thread_cpu_s
        self._frozen_after_s = frozen_after_s
        self._jobs: dict[str, Job] = {}
        self._lost: deque[LostJob] = deque(maxlen=LOST_KEPT)
        self._folder = tempfile.TemporaryDirectory(prefix="tts-ops-")
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def path(self) -> Path:
        return Path(self._folder.name) / "fleet.sock"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path), limit=MAX_LINE_BYTES)
        os.chmod(self.path, 0o600)
        self._watch = asyncio.create_task(self._watch_ticks(), name="fleet-watch")

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        self._folder.cleanup()

    def jobs(self) -> list[dict[str, Any]]:
        now = self._clock()
        return [job.as_dict(now) for job in list(self._jobs.values())]

    def lost(self) -> list[dict[str, Any]]:
        """Calls whose job died without a farewell in the last seconds."""
        now = self._clock()
        return [job.as_dict(now) for job in list(self._lost) if job.is_news(now)]

    @property
    def rooms(self) -> tuple[str, ...]:
        return tuple(job.room for job in list(self._jobs.values()))

    def command(self, room: str, command: Command) -> bool:
        """Tell the job in `room`; False when there is none. Only from the loop that serves the jobs."""
        return self._tell([job for job in self._jobs.values() if job.room == room], command)

    def release(self, job_id: str) -> bool:
        """Tell one job to leave its room to another agent; False when there is none. From the same loop."""
        return self._tell([job for job in self._jobs.values() if job.job_id == job_id], "release")

    def has_job(self, job_id: str) -> bool:
        return job_id in self._jobs

    def _tell(self, jobs: list[Job], command: Command) -> bool:
        told = [job for job in jobs if job.writer is not None]
        for job in told:
            assert job.writer is not None
            job.writer.write(json.dumps({"type": "command", "command": command}).encode() + b"\n")
        return bool(told)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        job: Job | None = None
        try:
            while line := await reader.readline():
                job = self._take(json.loads(line), job, writer)
        except (ValueError, KeyError, TypeError, OSError) as error:
            log.warning("a job's fleet link failed: %s", type(error).__name__)
        finally:
            writer.close()
            if job is not None and self._jobs.get(job.job_id) is job:
                self._drop(job, None if job.said_bye else "gone")
                self._note("job_gone", {}, job.job_id)

    def _take(self, message: dict[str, Any], job: Job | None, writer: asyncio.StreamWriter) -> Job | None:
        now = self._clock()
        kind = message["type"]
        if kind == "hello":
            job = Job(message["job_id"], message["room"], message["room_sid"], int(message["pid"]), now, writer=writer)
            self._jobs[job.job_id] = job
            self._lost = deque((lost for lost in self._lost if lost.job_id != job.job_id), LOST_KEPT)
        elif job is not None:
            job.ticked_at, job.stalled_cpu_s = now, None
            if kind == "turn":
                job.add_turn({k: message[k] for k in ("role", "text", "interrupted")})
            elif kind == "note":
                self._note(message["event"], message["values"], job.job_id)
            elif kind == "bye":
                job.said_bye = True
        return job

    async def _watch_ticks(self) -> None:
        woke_at = self._clock()
        while True:
            await asyncio.sleep(CHECK_S)
            now = self._clock()
            if now - woke_at <= CHECK_S + LATE_S:
                self.kill_frozen(now)
            else:  # we were late ourselves: give every job a fresh start
                for job in self._jobs.values():
                    job.ticked_at = max(job.ticked_at, now - CHECK_S)
            woke_at = now

    def kill_frozen(self, now: float) -> None:
        """Kill every job that has been silent for too long at time `now`."""
        for job in list(self._jobs.values()):
            silent_s = now - job.ticked_at
            if silent_s > STARVED_AFTER_S or (silent_s > self._frozen_after_s and not self._computes(job)):
                self._end(job, silent_s)

    def _computes(self, job: Job) -> bool:
        """Whether its main thread got on since the last look; the first look only takes the measure."""
        before, job.stalled_cpu_s = job.stalled_cpu_s, self._cpu_s(job.pid)
        if job.stalled_cpu_s is None:
            return False
        return before is None or job.stalled_cpu_s > before

    def _end(self, job: Job, silent_s: float) -> None:
        log.error("job %s gave no sign for %.1f s: killed", job.job_id, silent_s)
        self._drop(job, "frozen")
        self._note("job_killed", {}, job.job_id)
        try:
            self._kill(job.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.info("job %s was gone already", job.job_id)

    def _drop(self, job: Job, cause: Cause | None) -> None:
        """Out of the table; with a cause its call is lost."""
        del self._jobs[job.job_id]
        if cause is not None:
            log.warning("job %s died: %s", job.job_id, cause)
            self._lost.append(LostJob(job.job_id, job.room, job.room_sid, cause, self._clock(), job.last_turns))
            self._on_lost(job.room)


def main_thread_cpu_s(pid: int) -> float | None:
    """CPU seconds of the main thread (of all threads where the system does not tell); None: no such process."""
    try:
        process = psutil.Process(pid)
        for thread in process.threads():
            if thread.id == pid:
                return float(thread.user_time + thread.system_time)
        times = process.cpu_times()
        return float(times.user + times.system)
    except psutil.Error:
        return None
