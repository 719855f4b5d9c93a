"""An installation that does not end as it promises is noticed; here small programs stand for `tts-ops dev`."""

import subprocess
import sys
import time

import psutil
import pytest

from worker.bench.stack import StackError, start_stack

WELL_BEHAVED = (
    "import signal; signal.signal(signal.SIGINT, lambda *_: exit(0)); print('up', flush=True); signal.pause()"
)
LEAVES_ONE = (
    "import signal, subprocess, sys; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); " + WELL_BEHAVED
)
HOLDS_A_PORT = (
    "import os, socket, time; s = socket.create_server(('127.0.0.1', int(os.environ['HTTP_PORT']))); "
    "print('up', flush=True); time.sleep(60)"
)


def started(tmp_path, program: str):
    stack = start_stack(tmp_path / "log", command=(sys.executable, "-c", program))
    deadline = time.monotonic() + 20
    while "up" not in stack.log_tail():
        assert stack.process.poll() is None, stack.log_tail()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return stack


def test_a_clean_end_is_accepted(tmp_path) -> None:
    assert started(tmp_path, WELL_BEHAVED).stop() < 5


def test_a_process_left_behind_is_an_error_and_is_ended(tmp_path) -> None:
    stack = started(tmp_path, LEAVES_ONE)
    with pytest.raises(StackError, match="left behind: processes"):
        stack.stop()
    assert stack.processes() == []


def test_a_port_still_held_is_seen(tmp_path) -> None:
    stack = started(tmp_path, HOLDS_A_PORT)
    try:
        assert stack.busy_ports() == {"HTTP_PORT": stack.settings.http_port}
    finally:
        stack.kill()


def test_a_start_that_fails_shows_the_log(tmp_path) -> None:
    stack = start_stack(tmp_path / "log", command=(sys.executable, "-c", "exit('no livekit-server')"))
    with pytest.raises(StackError, match="no livekit-server"):
        stack.wait_until_ready()


def test_processes_are_found_whoever_their_parent_is(tmp_path) -> None:
    stack = started(tmp_path, LEAVES_ONE)
    try:
        assert len(stack.processes()) == 2
    finally:
        stack.kill()


def test_other_processes_are_never_counted(tmp_path) -> None:
    stack = started(tmp_path, WELL_BEHAVED)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        try:
            assert psutil.Process(other.pid) not in stack.processes()
        finally:
            stack.kill()
        assert other.poll() is None
