"""The machine fails: its disk is full, descriptors run out, its clock jumps. Calls go on, new work is told clearly."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest
from fault_rig import MAX_CALLS, Rig, answers

from worker.bench.caller import Missed, calling
from worker.bench.cluster import wait_for
from worker.bench.invitation import Refused
from worker.bench.program import Program

HOUR_S = 3600
FEW = 64

pytestmark = pytest.mark.long


@contextmanager
def started_with(rig: Rig, programs: Sequence[Program], env: Mapping[str, str]) -> Iterator[None]:
    """These programs, started anew with settings of their own; and as they were afterwards."""
    before = [(program, program.env, program.log_path) for program in programs]
    try:
        for program in programs:
            program.kill()
            program.env = {**program.env, **env}
        rig.reset()
        yield
    finally:
        for program, old, log_path in before:
            program.kill()
            program.env, program.log_path = old, log_path


@contextmanager
def only(rig: Rig, worker: Program) -> Iterator[None]:
    """All calls go to this worker."""
    for other in rig.cluster.workers:
        if other is not worker:
            other.kill()
    wait_for(lambda: rig.cluster.serve.json("/health")["fleet"]["free"] == MAX_CALLS, "one worker is left", 15)
    yield


@pytest.fixture
def small_disk(tmp_path: Path, missing: Callable[[str], NoReturn]) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]).returncode:
        missing("the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.timeout(300, method="signal")
async def test_a_full_disk_ends_no_call(rig: Rig, small_disk: Path) -> None:
    worker = rig.cluster.workers[0]
    old_log = worker.log_path
    shutil.copy(Path(worker.env["AGENT_FILE"]), small_disk / "agent.yaml")
    with started_with(rig, [worker], {"TMPDIR": str(small_disk), "CACHE_DIR": str(small_disk / "cache")}):
        worker.kill()
        worker.log_path = small_disk / "worker.log"  # what it writes there fails, too
        worker.start()
        worker.wait_until_ready()
        with only(rig, worker):
            async with rig.call() as caller:
                await answers(rig, caller, "The gate is open.")
                fill(small_disk)
                took_s = await answers(rig, caller, "It closes at six.")
                assert took_s < 3.0
                async with rig.call() as second:
                    print(
                        f"disk full: a turn begins after {took_s:.2f} s, a new call {await answers(rig, second):.2f} s"
                    )
    assert worker.log_path == old_log


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(disk).free == 0


@pytest.mark.parametrize(
    ("part", "left"),
    [("worker", None), ("serve", None), ("engines", None), ("all", None), ("worker", 2), ("engines", 0)],
)
async def test_without_descriptors_calls_go_on_and_new_ones_are_refused_clearly(
    rig: Rig, part: str, left: int | None
) -> None:
    worker = rig.cluster.workers[0]
    starved = {
        "worker": [worker],
        "serve": [rig.cluster.serve],
        "engines": list(rig.cluster.engines),
        "all": [worker, rig.cluster.serve, *rig.cluster.engines],
    }[part]
    with only(rig, worker):
        async with rig.call() as caller:
            await answers(rig, caller, "The gate is open.")
            with few_descriptors(starved, left):
                took_s = await answers(rig, caller, "It closes at six.")
                outcome = await a_new_call(rig)
                await answers(rig, caller, "Yes, still.")
            few = FEW if left is None else f"{left} more"
            print(f"{few} descriptors for {part}: a turn begins after {took_s:.2f} s; {outcome}")
            assert took_s < 3.0
            await answers(rig, caller, "And now as before.")


async def a_new_call(rig: Rig) -> str:
    """It is served, or refused in words that say when to try again."""
    try:
        async with calling(rig.http_url) as second:
            await second.heard_after(0.0, deadline_s=20)
            return "a new call is served"
    except Missed as missed:
        pytest.fail(f"a new caller got neither an agent nor an answer: {missed}")
    except Refused as error:
        refused = error
    assert refused.status == 503
    assert refused.retry_after
    return f"a new call is refused: {refused.code}"


@contextmanager
def few_descriptors(programs: Sequence[Program], left: int | None) -> Iterator[None]:
    """FEW for each process; with `left`, only so many more than are open now."""
    limits: list[tuple[int, tuple[int, int]]] = []
    for process in (p for program in programs for p in program.members()):
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        limits.append((process.pid, before))
        allowed = FEW if left is None else process.num_fds() + left
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (min(before[0], allowed), before[1]))
    try:
        yield
    finally:
        for pid, before in limits:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="session")
def clock_shim(tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str], NoReturn]) -> Path:
    if shutil.which("cc") is None:
        missing("a C compiler")
    library = tmp_path_factory.mktemp("clock") / "clock_shim.so"
    source = Path(__file__).with_name("clock_shim.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.timeout(300, method="signal")
async def test_a_clock_that_jumps_ends_no_call(rig: Rig, clock_shim: Path) -> None:
    """For our Python code; livekit-server keeps its time, so that new tokens are refused while the clocks differ."""
    hand = clock_shim.with_name("offset")
    hand.write_text("0")
    env = {"LD_PRELOAD": str(clock_shim), "CLOCK_SHIM_FILE": str(hand)}
    ours = [p for p in rig.cluster.programs if p is not rig.cluster.livekit]
    with started_with(rig, ours, env):
        async with rig.call() as caller:
            await answers(rig, caller, "The gate is open.")
            for hours in (1, -1, 0):
                began_s = time.monotonic()
                hand.write_text(str(hours * HOUR_S))
                took_s = await answers(rig, caller, f"It is {hours} hours off.")
                await caller.until(lambda s=began_s: time.monotonic() > s + 4 or None, "it settled", deadline_s=9)
                again_s = await answers(rig, caller, "It is still so.")
                print(f"clock {hours:+d} h: turns begin after {took_s:.2f} and {again_s:.2f} s")
                assert max(took_s, again_s) < 3.0
                assert rig.cluster.worker_of(caller.invitation.room).is_ready
        async with rig.call() as caller:
            await answers(rig, caller)
