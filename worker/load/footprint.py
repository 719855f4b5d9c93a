"""What the installation's processes on this machine cost while calls go on: cores and memory, in all and per call.

Knows them by their command line; nothing is found, and nothing claimed, where the installation is on another machine.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

_OURS = ("worker.cli", "tts-ops", "livekit-server", "multiprocessing")


@dataclass(frozen=True, slots=True)
class Footprint:
    """`cores`: of all processes but this one. MB: USS. None where it could not be measured."""

    processes: int
    cores: float | None
    memory_mb: float | None
    memory_before_mb: float | None
    memory_mb_per_call: float | None
    worker_mb_per_call: float | None


class Watch:
    """Begins when it is made. A look reads every process's memory: tens of milliseconds, never on a loop."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._before_mb, self._worker_before_mb, self._cpu_before_s = _sums()
        self._last_cpu_s = self._cpu_before_s
        self._looks: list[tuple[int, float, float]] = []  # calls, MB, MB of workers and jobs

    def look(self, calls: int) -> None:
        memory_mb, worker_mb, self._last_cpu_s = _sums()
        self._looks.append((calls, memory_mb, worker_mb))

    def result(self) -> Footprint:
        found = len(_processes())
        if not found or not self._looks:
            return Footprint(found, None, None, None, None, None)
        most = max(calls for calls, _, _ in self._looks)
        full = [(memory, worker) for calls, memory, worker in self._looks if calls == most]
        memory = sum(m for m, _ in full) / len(full)
        worker = sum(w for _, w in full) / len(full)
        cores = max(0.0, self._last_cpu_s - self._cpu_before_s) / (time.monotonic() - self._began_s)
        per_call = (memory - self._before_mb) / most if most else None
        return Footprint(
            found, cores, memory, self._before_mb, per_call, (worker - self._worker_before_mb) / most if most else None
        )


def _processes() -> list[psutil.Process]:
    own, found = psutil.Process().pid, []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.pid != own and any(name in line for name in _OURS) and " load " not in line:
            found.append(process)
    return found


def _sums() -> tuple[float, float, float]:
    """MB of all, MB of workers and their jobs, CPU seconds of all that live."""
    memory = worker = cpu = 0.0
    for process in _processes():
        with suppress(psutil.Error):
            times, uss = process.cpu_times(), process.memory_full_info().uss / 1e6
            line = " ".join(process.cmdline())
            memory, cpu = memory + uss, cpu + times.user + times.system
            if "cli worker" in line or "multiprocessing" in line or "tts-ops worker" in line:
                worker += uss
    return memory, worker, cpu
