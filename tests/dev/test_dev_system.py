"""`tts-ops dev` for real: a part that dies, a port in use, and the supervisor itself killed."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from worker.bench.stack import EMBEDDED, Stack, running_stack, start_stack
from worker.setup import livekit_server

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


PARTS = {"livekit", "engine", "models", "worker", "serve"}


@pytest.fixture(autouse=True)
def _livekit_is_there(missing: Callable[[str], NoReturn]) -> None:
    if not livekit_server.find():
        missing("livekit-server")


@pytest.fixture
def stack(build_dir: Path) -> Iterator[Stack]:
    with running_stack(build_dir / "dev" / "dev.log", EMBEDDED) as running:
        yield running


def pids(stack: Stack) -> dict[str, int]:
    """Its parts and their process ids."""
    return {name: p.pid for p in stack.processes() if (name := part_of(p)) is not None}


def part_of(process: psutil.Process) -> str | None:
    try:
        command = process.cmdline()
    except psutil.Error:
        return None
    if command and Path(command[0]).name == "livekit-server":
        return "livekit"
    return command[-1] if command[-3:-1] == ["-m", "worker.cli"] and command[-1] in PARTS else None


def until(is_so: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "not within its deadline"
        time.sleep(0.05)


def test_every_part_that_dies_comes_back_and_a_killed_supervisor_leaves_nothing(stack: Stack) -> None:
    """One start for all: it is the slow part."""
    first = pids(stack)
    assert first.keys() == PARTS
    for pid in first.values():
        psutil.Process(pid).kill()
    until(lambda: (now := pids(stack)).keys() == PARTS and not set(now.values()) & set(first.values()), 40)
    until(lambda: stack.free > 0, 90)
    log = stack.log_path.read_text()
    assert [part for part in PARTS if f"{part} was ended by signal 9; started again in 0.5 s" not in log] == []

    stack.process.kill()
    stack.process.wait()
    until(lambda: not stack.processes() and not stack.busy_ports(), 6)


def test_a_port_in_use_ends_the_start_with_one_line(build_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stack = start_stack(build_dir / "dev" / "port.log", {**EMBEDDED, "MODELS_PORT": str(port)})
        try:
            assert stack.process.wait(30) == 1
        except subprocess.TimeoutExpired:
            stack.kill()
            raise
    lines = stack.log_path.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"tts-ops dev: port {port} is in use by ")
    assert "MODELS_PORT" in lines[0]
    assert not stack.processes()
