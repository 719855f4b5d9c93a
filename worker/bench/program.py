"""One process of a fleet in the hands of a test: started, asked, frozen, killed, and started again on its port.

Knows its command and its health route; nothing of what it does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil

from worker.bench.stack import spawn
from worker.dev import guard

START_S = 90.0
END_S = 5.0
POLL_S = 0.03


class ClusterError(RuntimeError):
    """A process did not get ready or did not end; the message holds its last log lines."""


class Guard:
    """Ends every process group that it was told of when this process ends, however that comes."""

    def __init__(self) -> None:
        script = Path(guard.__file__)
        self._process = subprocess.Popen(
            (sys.executable, "-I", "-S", str(script)), stdin=subprocess.PIPE, start_new_session=True
        )

    def add(self, group: int) -> None:
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def end(self) -> None:
        """Its groups with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(END_S)


@dataclass(slots=True)
class Program:
    """One process and its descendants, in a process group of their own."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    url: str
    ready_path: str
    log_path: Path
    guard: Guard = field(repr=False)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        with suppress(OSError, ValueError):
            return self.is_up and self.ask(self.ready_path)[0] == 200
        return False

    def start(self) -> None:
        if self.is_up:
            return
        with self.log_path.open("ab") as log:
            self.process = spawn(self.command, self.env, log, cwd=self.log_path.parent)
        self.guard.add(self.process.pid)

    def wait_until_ready(self, deadline_s: float = START_S) -> None:
        deadline = time.monotonic() + deadline_s
        while not self.is_ready:
            if not self.is_up:
                raise ClusterError(f"{self.name} ended while it started:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{self.name} was not ready within {deadline_s:.0f} s:\n{self.log_tail()}")
            time.sleep(POLL_S)

    def members(self) -> list[psutil.Process]:
        """It and all that it started."""
        assert self.process is not None
        with suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        return []

    def send(self, number: signal.Signals) -> None:
        """To the process alone: SIGTERM, as a deployment sends it."""
        assert self.process is not None
        self.process.send_signal(number)

    def send_to_all(self, number: signal.Signals) -> None:
        """To it and all that it started: SIGKILL, SIGSTOP, SIGCONT."""
        for process in self.members():
            with suppress(psutil.Error):
                process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to all of it, and wait until it is gone."""
        if self.process is None:
            return
        self.send_to_all(signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(END_S)
        self.guard.forget(self.process.pid)

    def ask(self, path: str, body: Mapping[str, Any] | None = None, timeout_s: float = 2.0) -> tuple[int, str]:
        """Status and body; OSError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
                return int(answer.status), str(answer.read().decode())
        except HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path: str) -> dict[str, Any]:
        return dict(json.loads(self.ask(path)[1]))

    def metric(self, sample: str) -> float:
        """The sum of the samples whose line begins so."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))

    def log_tail(self, lines: int = 30) -> str:
        with suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"
