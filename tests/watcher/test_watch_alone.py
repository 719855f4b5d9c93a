"""`tts-ops watch`: a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from worker.bench.stack import free_ports, spawn

SECRET = "a-secret-of-at-least-thirty-two-characters"
STOP_S = 2.0


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    env = free_ports() | {"LIVEKIT_API_SECRET": SECRET, "LIVEKIT_URL": "ws://127.0.0.1:9"}
    with (tmp_path / "log").open("wb") as log:
        process = spawn((sys.executable, "-m", "worker.cli", "watch"), env, log, cwd=tmp_path)
    try:
        yield f"http://127.0.0.1:{env['HTTP_PORT']}", process
    finally:
        process.kill()
        process.wait()


def status(url: str, data: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(url, data, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_is_ready_guards_its_door_counts_and_ends(watching: tuple[str, subprocess.Popen[bytes]]) -> None:
    url, process = watching
    deadline = time.monotonic() + 40
    ready = False
    while not ready:
        assert process.poll() is None
        assert time.monotonic() < deadline
        with suppress(OSError):
            ready = status(f"{url}/readyz") == 200
        time.sleep(0.05)
    assert status(f"{url}/livez") == 200
    assert status(f"{url}/webhooks/livekit", b"{}") == 401
    assert status(f"{url}/webhooks/livekit", b"x" * 300_000) == 413
    assert status(f"{url}/token", b"") == 404
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        assert b'voice_webhooks_total{result="forged"} 1.0' in answer.read()
    asked_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert time.monotonic() - asked_s <= 2 * STOP_S
