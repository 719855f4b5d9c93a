"""A network of pods on one machine: a bridge, and a network namespace with an address of its own for each pod.

Needs root and iproute2. Pods reach each other and this machine at `gateway`; nothing leads further.
"""

from __future__ import annotations

import secrets
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class PodNetwork:
    bridge: str
    prefix: str  # the first three numbers
    _namespaces: dict[str, str] = field(default_factory=dict)  # namespace -> address
    _next: int = 2
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def gateway(self) -> str:
        return f"{self.prefix}.1"

    @classmethod
    def fresh(cls) -> PodNetwork:
        made = cls(f"k8s{secrets.token_hex(3)}", f"10.{100 + secrets.randbelow(100)}.{1 + secrets.randbelow(250)}")
        _ip("link", "add", made.bridge, "type", "bridge")
        _ip("addr", "add", f"{made.gateway}/24", "dev", made.bridge)
        _ip("link", "set", made.bridge, "up")
        return made

    def add(self) -> tuple[str, str]:
        """A namespace for a pod, and the pod's address."""
        with self._lock:
            number, self._next = self._next, self._next + 1
        name, near, far = f"{self.bridge}-{number}", f"{self.bridge}v{number}", f"{self.bridge}p{number}"
        address = f"{self.prefix}.{number}"
        _ip("netns", "add", name)
        self._namespaces[name] = address
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("link", "set", near, "master", self.bridge, "up")
        _ip("-n", name, "link", "set", far, "name", "eth0")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "route", "add", "default", "via", self.gateway)
        return name, address

    def remove(self, name: str) -> None:
        """Whatever still runs in it is killed."""
        if self._namespaces.pop(name, None) is None:
            return
        with suppress(subprocess.CalledProcessError):
            pids = _ip("netns", "pids", name).split()
            if pids:
                subprocess.run(["kill", "-9", *pids], check=False, capture_output=True)
            _ip("netns", "del", name)

    def close(self) -> None:
        for name in list(self._namespaces):
            self.remove(name)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self.bridge)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=20).stdout
