"""What an installation costs its machine: memory of all its processes during a call, and the time it takes to start."""

from __future__ import annotations

import asyncio
import platform
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from worker.bench.caller import calling
from worker.bench.figures import Figure, Result
from worker.bench.speech import QUESTIONS, speak
from worker.bench.spoken import Progress, hear_out
from worker.bench.stack import Stack, start_stack

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    system: str
    cpu: str
    cores: int
    memory_gib: float
    python: str
    busy_percent: float  # of all cores, with other things


def describe() -> Machine:
    """This machine, and how busy it is (a second is watched)."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu_name(),
        cores=psutil.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / GIB, 1),
        python=platform.python_version(),
        busy_percent=psutil.cpu_percent(interval=1.0),
    )


async def memory(http_url: str, processes: Sequence[psutil.Process], progress: Progress) -> Result:
    """PSS of all processes while one call is on: the highest of several looks while it speaks."""
    question = await speak(http_url, QUESTIONS[0])
    totals: list[float] = []
    async with calling(http_url) as caller:
        await caller.greeted()
        for _ in range(3):
            said = await caller.say(question.pcm)
            heard_s = await caller.heard_after(said.last_s)
            now = await asyncio.to_thread(_pss, processes)
            totals.append(sum(now.values()) / GIB)
            progress(f"{totals[-1]:.2f} GiB in {len(now)} processes")
            await hear_out(caller, heard_s)
    result = Result("memory", [Figure("memory of the whole stack, one call (PSS)", (max(totals),), "≤ 2.0 GiB", "GiB")])
    largest = sorted(now.items(), key=lambda item: -item[1])
    result.notes += [f"{value / GIB:.2f} GiB: {name}" for name, value in largest[:12]]
    return result


def start(progress: Progress) -> Result:
    """Start and stop it twice; the second start counts, up to a page and a worker that takes calls."""
    command = ("make", "call") if Path("Makefile").exists() else ()
    with tempfile.TemporaryDirectory(prefix="tts-ops-bench-") as folder:
        started, stopped = zip(*(_start_once(command, Path(folder), i, progress) for i in (1, 2)), strict=True)
    name = " ".join(command) or "tts-ops dev"
    return Result(
        "start",
        [
            Figure(f"`{name}`, second start → page usable and worker ready", (started[1],), "≤ 12 s"),
            Figure("Ctrl-C → every process and port is gone", tuple(stopped), "≤ 5 s"),
        ],
    )


def _start_once(command: Sequence[str], folder: Path, number: int, progress: Progress) -> tuple[float, float]:
    stack: Stack = start_stack(folder / f"start-{number}.log", command=command)
    try:
        ready_s = stack.wait_until_ready(300.0 if number == 1 else 90.0)
    except BaseException:
        stack.kill()
        raise
    stopped_s = stack.stop()
    progress(f"start {number}: ready after {ready_s:.1f} s, ended {stopped_s:.1f} s after Ctrl-C")
    return ready_s, stopped_s


def tree_of(port: int) -> list[psutil.Process]:
    """The processes of the `tts-ops dev` whose HTTP service listens on `port`; empty when it cannot be seen."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                parent = psutil.Process(connection.pid).parent()
                return [parent, *parent.children(recursive=True)] if parent else []
    return []


def _pss(processes: Sequence[psutil.Process]) -> dict[str, int]:
    found: dict[str, int] = {}
    for process in _with_children(processes):
        with suppress(psutil.Error):
            found[f"{_what(process)} ({process.pid})"] = process.memory_full_info().pss
    return found


def _with_children(processes: Sequence[psutil.Process]) -> set[psutil.Process]:
    everyone = set(processes)
    for process in processes:
        with suppress(psutil.Error):
            everyone.update(process.children(recursive=True))
    return everyone


def _what(process: psutil.Process) -> str:
    words = [Path(w).name for w in process.cmdline()[:5]]
    return " ".join(w for w in words if w not in ("-m", "-c", "-u"))[:60]


def _cpu_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
