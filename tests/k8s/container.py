"""One container of a pod as a local process in the pod's network, with its real probes.

Knows what a container's spec says of command, environment, ports, mounts and probes. Not done: images, memory and CPU
limits, users and the read-only root. A mount that holds something to read (a ConfigMap) is not made.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from worker.bench.program import Guard

DEFAULT_PERIOD_S, DEFAULT_TIMEOUT_S, DEFAULT_FAILURES = 10, 1, 3


@dataclass(slots=True)
class Probe:
    """`good`: what the last answers amount to; None before any."""

    url: str
    period_s: float
    timeout_s: float
    most_failures: int
    due_s: float = 0.0
    failures: int = 0
    good: bool | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any] | None, address: str, ports: Mapping[str, int]) -> Probe | None:
        if spec is None:
            return None
        get = spec["httpGet"]
        port = get["port"] if isinstance(get["port"], int) else ports[get["port"]]
        return cls(
            f"http://{address}:{port}{get['path']}",
            spec.get("periodSeconds", DEFAULT_PERIOD_S),
            spec.get("timeoutSeconds", DEFAULT_TIMEOUT_S),
            spec.get("failureThreshold", DEFAULT_FAILURES),
        )

    def ask_when_due(self) -> None:
        if time.monotonic() < self.due_s:
            return
        self.due_s = time.monotonic() + self.period_s
        if self._answers():
            self.good, self.failures = True, 0
            return
        self.failures += 1
        if self.failures >= self.most_failures:
            self.good = False

    def _answers(self) -> bool:
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(self.url, timeout=self.timeout_s) as got:
            return 200 <= int(got.status) < 400
        return False


@dataclass(slots=True)
class Container:
    """`start`, then `look` again and again; `terminate`, `kill`."""

    spec: Mapping[str, Any]
    env: Mapping[str, str] = field(repr=False)  # resolved
    namespace: str  # of the network
    address: str
    folder: Path  # its log, and what it may write
    guard: Guard = field(repr=False)
    restarts: int = 0
    is_stopping: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    startup: Probe | None = None
    liveness: Probe | None = None
    readiness: Probe | None = None
    last_code: int | None = None

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def has_started(self) -> bool:
        return self.is_running and (self.startup is None or self.startup.good is True)

    @property
    def is_ready(self) -> bool:
        return self.has_started and (self.readiness is None or self.readiness.good is True)

    def start(self) -> None:
        ports = {p["name"]: p["containerPort"] for p in self.spec.get("ports", ()) if "name" in p}
        for name in ("startup", "liveness", "readiness"):
            setattr(self, name, Probe.of(self.spec.get(f"{name}Probe"), self.address, ports))
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ("ip", "netns", "exec", self.namespace, *self.spec["command"], *self.spec.get("args", ()))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # `ip netns exec` becomes the program: signals reach it and it alone
                command,
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.guard.add(self.process.pid)

    def look(self) -> None:
        """Ask the probes that are due; start it again when it ended or does not live."""
        if not self.is_running:
            if not self.is_stopping and self.process is not None:
                self.end()
                self.restarts += 1
                self.start()
            return
        if not self.has_started:
            if self.startup is not None:
                self.startup.ask_when_due()
                if self.startup.good is False:
                    self.kill()
            return
        if self.readiness is not None:
            self.readiness.ask_when_due()
        if self.liveness is not None and not self.is_stopping:
            self.liveness.ask_when_due()
            if self.liveness.good is False:
                self.kill()

    def terminate(self) -> None:
        self.is_stopping = True
        if self.is_running and self.process is not None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to all of it, as the end of a container's first process is."""
        if self.process is None:
            return
        with suppress(psutil.Error):
            first = psutil.Process(self.process.pid)
            for process in (*first.children(recursive=True), first):
                with suppress(psutil.Error):
                    process.kill()
        self.process.wait(5)

    def end(self) -> None:
        """Note how it ended, and kill what it left behind in its group."""
        if self.process is None:
            return
        self.last_code = self.process.wait(5)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.guard.forget(self.process.pid)
        self.process = None

    def status(self) -> dict[str, Any]:
        state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
        if self.is_running:
            state = {"running": {}}
        elif self.last_code is not None:
            state = {"terminated": {"exitCode": self.last_code}}
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": "",
            "ready": self.is_ready,
            "started": self.has_started,
            "restartCount": self.restarts,
            "state": state,
        }

    def _environment(self) -> dict[str, str]:
        """Of this machine only where programs lie. What it may write is below `folder`, not at /cache and /tmp."""
        writable = self.folder / "writable"
        (writable / "tmp").mkdir(parents=True, exist_ok=True)
        mounts = {m["mountPath"]: writable / m["mountPath"].strip("/") for m in self.spec.get("volumeMounts", ())}
        moved = dict(self.env)
        for name, value in self.env.items():
            for mounted, here in mounts.items():
                if value == mounted or value.startswith(f"{mounted}/"):
                    moved[name] = f"{here}{value.removeprefix(mounted)}"
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": str(writable / "tmp"), **moved}
