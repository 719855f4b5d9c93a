"""The supervisor with real child processes: small Python programs."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psutil
import pytest

from worker.dev.supervisor import Part, Supervisor

# A server that answers 200 once it listens. It ignores SIGTERM when told to, and may have a child of its own.
SERVER = """
import http.server, os, signal, subprocess, sys
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "parent" in sys.argv:
    import time
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    print("grandchild", subprocess.Popen([sys.executable, "-c", stubborn]).pid, flush=True)
class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *a): pass
print("pid", os.getpid(), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
"""


class Record:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.changed = asyncio.Event()

    def add(self, part: str, line: str) -> None:
        self.lines.append((part, line))
        self.changed.set()

    def pids(self, word: str = "pid") -> list[int]:
        return [int(line.split()[1]) for _, line in self.lines if line.split()[0] == word]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                await self.changed.wait()
                self.changed.clear()


@pytest.fixture
def record() -> Record:
    return Record()


def server(name: str, *words: str) -> Part:
    port = free_port()
    command = (sys.executable, "-c", SERVER, str(port), *words)
    return Part(name, command, {}, f"http://127.0.0.1:{port}/", ready_within_s=20)


def program(name: str, code: str, **more: object) -> Part:
    return Part(name, (sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_all_parts_start_and_become_ready(record: Record) -> None:
    ready: list[str] = []
    supervisor = Supervisor(
        [server("one"), server("two")], on_line=record.add, on_ready=lambda name, _: ready.append(name)
    )
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(supervisor.ready.wait(), 20)
    assert sorted(ready) == ["one", "two"]
    supervisor.stop()
    assert await asyncio.wait_for(running, 5) is None


async def test_stop_ends_stubborn_processes_and_their_children_within_five_seconds(record: Record) -> None:
    supervisor = Supervisor([server("one", "stubborn", "parent"), server("two", "stubborn")], on_line=record.add)
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(supervisor.ready.wait(), 20)
    await record.until(lambda: len(record.pids()) == 2 and len(record.pids("grandchild")) == 1)
    started = time.monotonic()
    supervisor.stop()
    await running
    assert time.monotonic() - started < 5
    assert not [pid for pid in record.pids() + record.pids("grandchild") if is_alive(pid)]


@pytest.mark.parametrize("stage", [1, 2])
async def test_what_ends_later_outlives_the_others(record: Record, stage: Literal[1, 2]) -> None:
    """The other part looks, while it ends, whether the later one still answers."""
    last = replace(server("last"), ends=stage)
    code = f"""
import signal, sys, time, urllib.request
def on_term(*_):
    time.sleep(0.3)
    print("last answers", urllib.request.urlopen({last.ready_url!r}).status, flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, on_term)
print("up", flush=True)
time.sleep(600)
"""
    supervisor = Supervisor([last, program("first", code)], on_line=record.add)
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(supervisor.ready.wait(), 20)
    await record.until(lambda: ("first", "up") in record.lines)
    supervisor.stop()
    await running
    assert ("first", "last answers 200") in record.lines
    assert not is_alive(record.pids()[0])


async def test_a_second_stop_does_not_wait_for_the_grace_period(record: Record) -> None:
    supervisor = Supervisor([server("one", "stubborn")], on_line=record.add)
    running = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(supervisor.ready.wait(), 20)
    started = time.monotonic()
    supervisor.stop()
    supervisor.stop(at_once=True)
    await running
    assert time.monotonic() - started < 2


async def test_a_dead_part_is_started_again_and_what_it_left_behind_is_ended(record: Record) -> None:
    supervisor = Supervisor([server("one", "parent")], on_line=record.add)
    running = asyncio.create_task(supervisor.run())
    await record.until(lambda: len(record.pids()) == 1)
    os.kill(record.pids()[0], signal.SIGKILL)
    await record.until(lambda: len(record.pids()) == 2)
    assert not is_alive(record.pids("grandchild")[0])
    assert is_alive(record.pids()[1])
    supervisor.stop()
    await running


async def test_five_deaths_in_a_minute_end_everything_with_the_last_lines(record: Record) -> None:
    ticks = iter(range(1000))
    supervisor = Supervisor(
        [server("good"), program("bad", "print('to be or not'); raise SystemExit(7)")],
        on_line=record.add,
        clock=lambda: float(next(ticks)),
    )
    failure = await asyncio.wait_for(supervisor.run(), 30)
    assert failure is not None
    assert (failure.part, failure.reason) == ("bad", "ended with code 7, 5 times in a minute")
    assert failure.last_lines == ("to be or not",)
    assert not [pid for pid in record.pids() if is_alive(pid)]


async def test_a_wrong_setting_is_not_tried_again(record: Record) -> None:
    supervisor = Supervisor([program("bad", "print('X is 1: no'); raise SystemExit(2)")], on_line=record.add)
    failure = await asyncio.wait_for(supervisor.run(), 10)
    assert failure is not None
    assert failure.reason == "ended with code 2"
    assert record.lines == [("bad", "X is 1: no")]


async def test_a_program_that_is_not_there_is_named(record: Record) -> None:
    supervisor = Supervisor([Part("ghost", ("/nowhere/ghost",))], on_line=record.add)
    failure = await asyncio.wait_for(supervisor.run(), 10)
    assert failure is not None
    assert failure.reason == "cannot be started: No such file or directory"


async def test_a_part_that_is_never_ready_counts_as_dead(record: Record) -> None:
    code = "import time; print('up', flush=True); time.sleep(600)"
    mute = program("mute", code, ready_url=f"http://127.0.0.1:{free_port()}/", ready_within_s=0.5)
    supervisor = Supervisor([mute], on_line=record.add)
    running = asyncio.create_task(supervisor.run())
    await record.until(lambda: len(record.lines) == 2)
    supervisor.stop()
    await running


async def test_a_very_long_line_comes_in_pieces(record: Record) -> None:
    supervisor = Supervisor([program("long", "print('x' * 100_000); import time; time.sleep(600)")], on_line=record.add)
    running = asyncio.create_task(supervisor.run())
    await record.until(lambda: sum(len(line) for _, line in record.lines) == 100_000)
    assert max(len(line) for _, line in record.lines) <= 2 * 8192
    supervisor.stop()
    await running


KILLED = """
import asyncio, sys
from worker.dev.supervisor import Part, Supervisor
code = sys.argv[1]
parts = [Part(n, (sys.executable, "-c", code, p, *words), {}, f"http://127.0.0.1:{p}/")
         for n, p, *words in (("one", sys.argv[2], "stubborn", "parent"), ("two", sys.argv[3]))]
asyncio.run(Supervisor(parts, on_line=lambda n, l: print(l, flush=True)).run())
"""


async def test_nothing_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, SERVER, str(free_port()), str(free_port())]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    lines = [(await asyncio.wait_for(process.stdout.readline(), 20)).decode() for _ in range(3)]
    pids = [int(line.split()[1]) for line in lines]
    assert all(map(is_alive, pids))
    process.kill()
    await process.wait()
    async with asyncio.timeout(6):
        while any(map(is_alive, pids)):
            await asyncio.sleep(0.05)
