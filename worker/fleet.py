"""What a worker knows of its jobs: a unix socket that each job keeps open, and the table read by `GET /fleet`.

End of file means the job is gone. A job that sends nothing for FROZEN_AFTER_S is frozen and is killed, unless its main
thread still computes (then it is starved, and has until STARVED_AFTER_S) or this process itself was late: a machine
that is too busy is no proof.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

CHECK_S = 0.25
FROZEN_AFTER_S = 2.0
STARVED_AFTER_S = 10.0
LATE_S = 0.5
LAST_TURNS = 20
MAX_LINE_BYTES = 64 * 1024

log = logging.getLogger(__name__)
Note = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Job:
    """One call as its worker sees it. `last_turns` is for a successor job; it never goes to logs or metrics."""

    job_id: str
    room: str
    room_sid: str
    pid: int
    ticked_at: float
    stalled_cpu_s: float | None = None  # of its main thread, when its silence was last looked at
    last_turns: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LAST_TURNS))

    def as_dict(self, now: float) -> dict[str, Any]:
        return {
            "job_id": self.job_id,
            "room": self.room,
            "room_sid": self.room_sid,
            "tick_age_s": round(now - self.ticked_at, 3),
            "last_turns": list(self.last_turns),
        }


class Fleet:
    """The server end of the fleet channel."""

    def __init__(
        self,
        *,
        note: Note,
        clock: Callable[[], float] = time.monotonic,
        kill: Callable[[int, int], None] = os.kill,
        cpu_s: Callable[[int], float | None] | None = None,
        frozen_after_s: float = FROZEN_AFTER_S,
    ) -> None:
        self._note = note
        self._clock = clock
        self._kill = kill
        self._cpu_s = cpu_s or main_thread_cpu_s
        self._frozen_after_s = frozen_after_s
        self._jobs: dict[str, Job] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="tts-ops-")
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self.killed_total = 0

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
        return [job.as_dict(now) for job in self._jobs.values()]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        job: Job | None = None
        try:
            while line := await reader.readline():
                job = self._take(json.loads(line), job)
        except (ValueError, KeyError, OSError) as error:
            log.warning("a job's fleet link failed: %s", type(error).__name__)
        finally:
            writer.close()
            if job is not None and self._jobs.get(job.job_id) is job:
                del self._jobs[job.job_id]
                self._note("job_gone", {})

    def _take(self, message: dict[str, Any], job: Job | None) -> Job | None:
        now = self._clock()
        if message["type"] == "hello":
            job = Job(message["job_id"], message["room"], message["room_sid"], int(message["pid"]), now)
            self._jobs[job.job_id] = job
        elif job is not None:
            job.ticked_at, job.stalled_cpu_s = now, None
            if message["type"] == "turn":
                job.last_turns.append({k: message[k] for k in ("role", "text", "interrupted")})
            elif message["type"] == "note":
                self._note(message["event"], message["values"])
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
        del self._jobs[job.job_id]
        self.killed_total += 1
        self._note("job_killed", {})
        try:
            self._kill(job.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.info("job %s was gone already", job.job_id)


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
