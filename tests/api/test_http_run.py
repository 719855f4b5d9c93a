"""`tts-ops serve` as a process: it listens, it ends when told to, and it says why it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from http_parts import SECRET

START_S = 30


@contextmanager
def serve(folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "serve"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LIVEKIT_API_SECRET": SECRET} | env,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def get(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def wait_until_it_listens(process: subprocess.Popen[str], port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            if get(port, "/readyz") == 200:
                return
        except OSError:
            assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_soon_even_with_an_open_connection(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    with serve(tmp_path, HTTP_PORT=str(port)) as process:
        wait_until_it_listens(process, port)
        with socket.create_connection(("127.0.0.1", port)) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\n")
            process.send_signal(number)
            assert process.wait(timeout=5) == 0
    assert process.stderr
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"HOST": "0.0.0.0"}, "HOST is '0.0.0.0'.*127.0.0.1"),
        ({"LIVEKIT_API_SECRET": "short"}, "LIVEKIT_API_SECRET has 5 characters"),
        ({"LLM_PROVIDER": "openai"}, "needs OPENAI_API_KEY"),
    ],
)
def test_what_it_cannot_start_with_is_one_line(tmp_path: Path, env: dict[str, str], words: str) -> None:
    with serve(tmp_path, HTTP_PORT=str(free_port()), **env) as process:
        assert process.stderr
        lines = process.stderr.read().strip().splitlines()
        assert process.wait(timeout=START_S) == 2
    assert len(lines) == 1
    assert re.search(words, lines[0])


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with serve(tmp_path, HTTP_PORT=str(port)) as process:
            assert process.stderr
            lines = process.stderr.read().strip().splitlines()
            assert process.wait(timeout=START_S) == 2
    assert len(lines) == 1
    assert f"HTTP_PORT is {port}: in use by another program" in lines[0]
