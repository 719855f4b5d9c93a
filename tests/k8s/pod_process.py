"""One pod as local processes, from its binding to a node to its last container's end, told to the API server.

Native sidecars start before the other containers and are stopped after them, in reverse order.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from container import Container
from control_plane import Api, Refused
from pod_network import PodNetwork

from worker.bench.program import Guard

POLL_S = 0.1
SIDECARS_S = 2.0  # what the kubelet leaves them at least


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a pod ended. `told`: what `look` gave at SIGTERM."""

    pod: str
    told: Any
    seconds: float
    killed: bool  # SIGKILL, since its grace was over
    code: int | None
    order: tuple[str, ...]  # containers as they ended
    at_s: float  # monotonic


@dataclass(slots=True)
class PodProcess:
    """`run` in a thread of its own; `delete` when the API server wants it gone."""

    pod: Mapping[str, Any]
    api: Api = field(repr=False)
    network: PodNetwork = field(repr=False)
    folder: Path
    guard: Guard = field(repr=False)
    look: Callable[[str], Any] = field(repr=False)
    address: str = ""
    containers: list[Container] = field(default_factory=list)
    sidecars: list[Container] = field(default_factory=list)
    stopped: Stopped | None = None
    error: str = ""
    _kill_at_s: float | None = None
    _abandoned: threading.Event = field(default_factory=threading.Event)
    _last_status: Any = None
    _since: dict[str, tuple[str, str]] = field(default_factory=dict)
    _thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.pod['metadata']['namespace']}/pods/{self.name}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"pod {self.name}", daemon=True)
        self._thread.start()

    def delete(self, grace_s: float) -> None:
        """SIGKILL in `grace_s` at the latest; a later word can only make it sooner."""
        at_s = time.monotonic() + grace_s
        self._kill_at_s = at_s if self._kill_at_s is None else min(self._kill_at_s, at_s)

    def abandon(self) -> None:
        """The cluster ends: kill it and tell nobody."""
        self._abandoned.set()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join(20)

    def container(self, name: str) -> Container:
        return next(c for c in (*self.sidecars, *self.containers) if c.name == name)

    def _run(self) -> None:
        namespace = ""
        try:
            namespace, self.address = self.network.add()
            self._make(namespace)
            self._start_all()
            while not self._must_stop():
                self._look_at(*self.sidecars, *self.containers)
            self._stop_all()
        except Exception as error:  # outermost: what went wrong is the test's to tell
            self.error = f"{type(error).__name__}: {error}"
        finally:
            for container in (*self.containers, *self.sidecars):
                container.is_stopping = True
                container.kill()
                container.end()
            self.network.remove(namespace)
        if not self._abandoned.is_set():
            with suppress(Refused, httpx2.HTTPError):
                self.api.delete(self.path, gracePeriodSeconds=0, preconditions={"uid": self.pod["metadata"]["uid"]})

    def _make(self, namespace: str) -> None:
        spec = self.pod["spec"]
        for each in spec.get("initContainers", ()):
            if each.get("restartPolicy") != "Always":
                raise NotImplementedError(f"container {each['name']} is no sidecar, and others are not started here")
            self.sidecars.append(self._container(each, namespace))
        self.containers += [self._container(each, namespace) for each in spec["containers"]]

    def _container(self, spec: Mapping[str, Any], namespace: str) -> Container:
        env = self._env_of(spec)
        return Container(spec, env, namespace, self.address, self.folder / spec["name"], self.guard)

    def _env_of(self, spec: Mapping[str, Any]) -> dict[str, str]:
        env: dict[str, str] = {"HOSTNAME": self.name}
        objects = f"/api/v1/namespaces/{self.pod['metadata']['namespace']}"
        for source in spec.get("envFrom", ()):
            if reference := source.get("configMapRef"):
                env |= self.api.get(f"{objects}/configmaps/{reference['name']}").get("data", {})
            if reference := source.get("secretRef"):
                secret = self.api.get(f"{objects}/secrets/{reference['name']}").get("data", {})
                env |= {name: base64.b64decode(value).decode() for name, value in secret.items()}
        for each in spec.get("env", ()):
            if "valueFrom" in each:
                field_path = each["valueFrom"]["fieldRef"]["fieldPath"]
                env[each["name"]] = {"metadata.name": self.name, "status.podIP": self.address}[field_path]
            else:
                env[each["name"]] = each.get("value", "")
        return env

    def _start_all(self) -> None:
        for number, sidecar in enumerate(self.sidecars, 1):
            sidecar.start()
            while not sidecar.has_started and not self._must_stop():
                self._look_at(*self.sidecars[:number])
        for container in self.containers:
            if not self._must_stop():
                container.start()

    def _must_stop(self) -> bool:
        return self._kill_at_s is not None or self._abandoned.is_set()

    def _look_at(self, *containers: Container) -> None:
        for container in containers:
            container.look()
        self._tell()
        time.sleep(POLL_S)

    def _stop_all(self) -> None:
        if self._abandoned.is_set():
            return
        began, order = time.monotonic(), []
        told = self.look(self.address)
        for container in self.containers:
            container.terminate()
        while any(c.is_running for c in self.containers) and not self._is_overdue():
            self._look_at(*self.sidecars, *self.containers)
        killed = any(c.is_running for c in self.containers)
        for container in self.containers:
            container.kill()
            container.end()
            order.append(container.name)
        left_s = max(SIDECARS_S, (self._kill_at_s or 0.0) - time.monotonic())
        for sidecar in reversed(self.sidecars):
            sidecar.terminate()
            until = time.monotonic() + left_s
            while sidecar.is_running and time.monotonic() < until and not self._abandoned.is_set():
                self._look_at(*self.sidecars)
            sidecar.kill()
            sidecar.end()
            order.append(sidecar.name)
        code = self.containers[0].last_code if self.containers else None
        now = time.monotonic()
        self.stopped = Stopped(self.name, told, now - began, killed, code, tuple(order), now)

    def _is_overdue(self) -> bool:
        return self._abandoned.is_set() or time.monotonic() >= (self._kill_at_s or 0.0)

    def _tell(self) -> None:
        status = self._status()
        if status == self._last_status:
            return
        with suppress(Refused, httpx2.HTTPError):  # the next look tells it
            self.api.patch(f"{self.path}/status", {"status": status})
            self._last_status = status

    def _status(self) -> dict[str, Any]:
        started = len(self.sidecars) == sum(s.has_started for s in self.sidecars)
        ready = started and bool(self.containers) and all(c.is_ready for c in (*self.sidecars, *self.containers))
        conditions = {"PodScheduled": True, "Initialized": started, "ContainersReady": ready, "Ready": ready}
        return {
            "phase": "Running" if started else "Pending",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "hostIP": self.network.gateway,
            "startTime": self._when("start", "True"),
            "conditions": [
                {"type": name, "status": str(value), "lastTransitionTime": self._when(name, str(value))}
                for name, value in conditions.items()
            ],
            "initContainerStatuses": [c.status() for c in self.sidecars],
            "containerStatuses": [c.status() for c in self.containers],
        }

    def _when(self, name: str, value: str) -> str:
        """Since when it is so."""
        known = self._since.get(name)
        if known is None or known[0] != value:
            known = self._since[name] = (value, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        return known[1]
