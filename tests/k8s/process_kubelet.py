"""Nodes with a GPU each, whose kubelet starts local processes: pods that the scheduler bound to them become real.

A kubelet's own limits (memory, images, volumes, security context) are not there.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from control_plane import Api, Refused
from pod_network import PodNetwork
from pod_process import PodProcess, Stopped

from worker.bench.program import Guard

POLL_S = 0.25
GPU = "nvidia.com/gpu"


@dataclass(slots=True)
class ProcessKubelet:
    """`look`: asked with a pod's address when it is told to stop; its answer is kept in `Stopped`."""

    api: Api = field(repr=False)
    network: PodNetwork = field(repr=False)
    folder: Path
    look: Callable[[str], Any] = field(repr=False)
    pods: dict[str, PodProcess] = field(default_factory=dict)  # uid ->
    _guard: Guard = field(default_factory=Guard, repr=False)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def stopped(self) -> list[Stopped]:
        """In the order in which they ended."""
        ended = [pod.stopped for pod in list(self.pods.values()) if pod.stopped]
        return sorted(ended, key=lambda pod: pod.at_s)

    @property
    def errors(self) -> list[str]:
        return [f"{pod.name}: {pod.error}" for pod in list(self.pods.values()) if pod.error]

    def start(self, nodes: Sequence[str]) -> None:
        for name in nodes:
            self._register(name)
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._thread.start()

    def pod(self, name: str) -> PodProcess:
        return next(pod for pod in list(self.pods.values()) if pod.name == name)

    def close(self) -> None:
        """Kill all pods, and tell nobody."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(20)
        for pod in self.pods.values():
            pod.abandon()
        for pod in self.pods.values():
            pod.join()
        self._guard.end()

    def _register(self, name: str) -> None:
        room = {"cpu": "16", "memory": "64Gi", "pods": "20", "ephemeral-storage": "100Gi", GPU: "1"}
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        taint = {"key": GPU, "value": "present", "effect": "NoSchedule"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        self.api.create("/api/v1/nodes", node | {"spec": {"taints": [taint]}})
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        self.api.patch(f"/api/v1/nodes/{name}/status", {"status": status})

    def _run(self) -> None:
        while not self._ending.wait(POLL_S):
            with suppress(httpx2.HTTPError, Refused):
                for pod in self.api.get("/api/v1/pods", fieldSelector="spec.nodeName!=")["items"]:
                    self._see(pod)

    def _see(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        known = self.pods.get(uid)
        if known is None:
            folder = self.folder / pod["metadata"]["name"].rsplit("-", 1)[-1]  # short: sockets lie below it
            known = self.pods[uid] = PodProcess(pod, self.api, self.network, folder, self._guard, self.look)
            known.start()
        if "deletionTimestamp" in pod["metadata"]:
            known.delete(_left(pod))


def _left(pod: dict[str, Any]) -> float:
    """Seconds until the moment at which the API server wants the pod gone."""
    at = datetime.datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])
    return (at - datetime.datetime.now(datetime.UTC)).total_seconds()
