"""A whole installation (`tts-ops dev`) started for a measurement or a test, on free ports, and ended without a trace.

Knows the command line, the settings' names and the health routes; nothing of what runs behind them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import psutil

from worker.settings import Settings

READY_S = 90.0  # a cold start on a busy two-core machine
STOP_S = 5.0  # what `tts-ops dev` promises after Ctrl-C
POLL_S = 0.05
HTTP_S = 2.0
EMBEDDED = {"LLM_PROVIDER": "embedded", "STT_PROVIDER": "embedded", "TTS_BACKEND": "embedded"}
MARK = "TTS_OPS_STACK"  # in the environment of every process of one stack, whoever its parent is
TCP_PORTS = ("HTTP_PORT", "ENGINE_PORT", "MODELS_PORT", "LIVEKIT_PORT", "METRICS_PORT", "WORKER_HEALTH_PORT")
UDP_PORTS = ("LIVEKIT_UDP_PORT",)


class StackError(RuntimeError):
    """The installation did not start, or did not end as promised; the message holds its last log lines."""


@dataclass(slots=True)
class Stack:
    """One running installation."""

    settings: Settings  # with the ports of this installation
    env: dict[str, str]  # of its processes
    log_path: Path
    process: subprocess.Popen[bytes]
    started_s: float = field(default_factory=time.monotonic)

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.http_port}"

    @property
    def worker_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.metrics_port}"

    @property
    def ports(self) -> dict[str, int]:
        return {name: int(self.env[name]) for name in (*TCP_PORTS, *UDP_PORTS)}

    def log_tail(self, lines: int = 40) -> str:
        with suppress(FileNotFoundError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"

    def processes(self) -> list[psutil.Process]:
        """Every living process of this installation."""
        return [p for p in psutil.process_iter() if _mark_of(p) == self.env[MARK]]

    def busy_ports(self) -> dict[str, int]:
        """Those of its ports that somebody holds."""
        held = {n: p for n, p in self.ports.items() if not _is_free(p, udp=n in UDP_PORTS)}
        return held

    @property
    def free(self) -> int:
        """Calls that can begin now, as the HTTP service sees it; 0 while something is not there yet."""
        told = json.loads(_get(f"{self.http_url}/health") or "{}")
        return int(told["fleet"]["free"]) if told.get("status") == "ok" else 0

    def wait_until_ready(self, deadline_s: float = READY_S) -> float:
        """Seconds from the start until a call can begin from the page; StackError after the deadline."""
        deadline = self.started_s + deadline_s
        conditions: dict[str, Callable[[], bool]] = {
            "the page": lambda: _get(f"{self.http_url}/") is not None,
            "the embedded models": lambda: _get(f"http://127.0.0.1:{self.settings.models_port}/readyz") is not None,
            "a worker with room for a call": lambda: self.free > 0,
        }
        for what, is_there in conditions.items():
            while not is_there():
                if self.process.poll() is not None:
                    raise StackError(f"tts-ops dev ended with {self.process.returncode}:\n{self.log_tail()}")
                if time.monotonic() > deadline:
                    raise StackError(f"{what} was not there within {deadline_s:.0f} s:\n{self.log_tail()}")
                time.sleep(POLL_S)
        return time.monotonic() - self.started_s

    def environment_of(self, command: str) -> dict[str, str]:
        """The environment that `tts-ops dev` gave to its process `tts-ops <command>`, secrets and all."""
        for process in self.processes():
            with suppress(psutil.Error):
                if process.cmdline()[-1:] == [command]:
                    return process.environ()
        raise StackError(f"no process of this installation is `{command}`")

    def stop(self) -> float:
        """Ctrl-C; seconds until it ended. StackError when it took longer than promised or left something behind."""
        asked_s = time.monotonic()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)  # a terminal, too, tells the whole group
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StackError(f"Ctrl-C did not end it within {STOP_S:.0f} s:\n{self.log_tail()}") from None
        took_s = time.monotonic() - asked_s
        left = {p.pid: " ".join(p.cmdline())[:120] for p in self.processes()}
        self.kill()
        if left or (busy := self.busy_ports()):
            raise StackError(f"left behind: processes {left}, ports {busy if not left else 'not looked at'}")
        return took_s

    def kill(self) -> None:
        """End whatever is left of it, at once."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)


@contextmanager
def running_stack(
    log_path: Path, env: Mapping[str, str] | None = None, *, command: Sequence[str] = ()
) -> Iterator[Stack]:
    """`tts-ops dev` with the given settings over free ports; ended as Ctrl-C ends it, with all that it promises."""
    stack = start_stack(log_path, env, command=command)
    try:
        stack.wait_until_ready()
        yield stack
    except BaseException:
        stack.kill()
        raise
    stack.stop()


def start_stack(log_path: Path, env: Mapping[str, str] | None = None, *, command: Sequence[str] = ()) -> Stack:
    """Start it and return at once. A `command` of its own runs in the working folder, as `make call` must."""
    values = {**free_ports(), MARK: uuid.uuid4().hex, **(env or {})}
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log:
        if command:
            process = spawn(command, values, log)
        else:  # elsewhere, so that no .env of the working folder has a say
            process = spawn((sys.executable, "-m", "worker.cli", "dev"), values, log, cwd=log_path.parent)
    return Stack(_settings_from(values), values, log_path, process)


def spawn(
    command: Sequence[str], env: Mapping[str, str], log: IO[bytes], *, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """A process in a session of its own, so that a Ctrl-C in our terminal is ours to pass on.

    Of our own settings it sees only those in `env`.
    """
    rest = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return subprocess.Popen(
        list(command),
        env={**rest, "PYTHONUNBUFFERED": "1", **env},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def free_ports() -> dict[str, str]:
    """A free port for every port setting; held open together so that none is given twice."""
    with _sockets() as held:
        return {name: str(s.getsockname()[1]) for name, s in held.items()}


@contextmanager
def _sockets() -> Iterator[dict[str, socket.socket]]:
    held: dict[str, socket.socket] = {}
    try:
        for name in (*TCP_PORTS, *UDP_PORTS):
            kind = socket.SOCK_DGRAM if name in UDP_PORTS else socket.SOCK_STREAM
            held[name] = socket.socket(socket.AF_INET, kind)
            held[name].bind(("127.0.0.1", 0))
        yield held
    finally:
        for each in held.values():
            each.close()


def _settings_from(values: Mapping[str, str]) -> Settings:
    names = Settings.model_fields
    given = {k.lower(): v for k, v in values.items() if k.lower() in names}
    return Settings(**{"livekit_url": f"ws://127.0.0.1:{values['LIVEKIT_PORT']}", **given})


def _mark_of(process: psutil.Process) -> str | None:
    with suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ().get(MARK)
    return None


def _is_free(port: int, *, udp: bool) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(not udp))  # connections in TIME_WAIT are no holder
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _get(url: str) -> str | None:
    """The body of a good answer from this machine."""
    try:
        with urlopen(url, timeout=HTTP_S) as answer:  # noqa: S310
            return str(answer.read().decode())
    except OSError:
        return None
