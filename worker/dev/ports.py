"""Which of our ports are free, and who holds those that are not."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import Literal

import psutil

from worker.settings import Settings

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Port:
    variable: str  # the setting that changes it
    number: int
    host: str = LOOPBACK
    kind: Literal["tcp", "udp"] = "tcp"

    @property
    def is_free(self) -> bool:
        return not (self.kind == "tcp" and _answers(self)) and _binds(self)


def all_ports(settings: Settings, *, livekit: bool, engine: bool = True) -> tuple[Port, ...]:
    """Every port of a machine that runs the whole product; those of livekit-server and engine where we start them."""
    host = settings.host
    ours = (
        Port("HTTP_PORT", settings.http_port, host),
        *((Port("ENGINE_PORT", settings.engine_port, host),) if engine else ()),
        Port("MODELS_PORT", settings.models_port, host),
        Port("METRICS_PORT", settings.metrics_port, host),
        Port("WORKER_HEALTH_PORT", settings.worker_health_port, host),
    )
    if not livekit:
        return ours
    return (
        *ours,
        Port("LIVEKIT_PORT", settings.livekit_port),
        Port("LIVEKIT_UDP_PORT", settings.livekit_udp_port, kind="udp"),
    )


def complaint(ports: tuple[Port, ...]) -> str | None:
    """One line about the first port that cannot be had: which, by whom, and the variable that changes it."""
    seen: dict[tuple[str, int], str] = {}
    for port in ports:
        if other := seen.get((port.kind, port.number)):
            return f"{port.variable} and {other} are both {port.number}: give one of them another number"
        seen[port.kind, port.number] = port.variable
    for port in ports:
        if not port.is_free:
            by = holder(port) or "another program"
            return f"port {port.number} is in use by {by}: end it, or set {port.variable} to another number"
    return None


def holder(port: Port) -> str | None:
    """Name and id of the process at this port, where the system tells us."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind=f"{port.kind}4"):
            listens = port.kind == "udp" or connection.status == psutil.CONN_LISTEN
            if listens and connection.pid and connection.laddr and connection.laddr[1] == port.number:
                return f"{_describe(connection.pid)} (process {connection.pid})"
    return None


def _describe(pid: int) -> str:
    """The program, and for an interpreter what it runs: never the rest of a command line, it may hold a key."""
    process = psutil.Process(pid)
    name = process.name()
    if name.startswith("python"):
        arguments = process.cmdline()[1:]
        shown = arguments[:3] if arguments[:1] == ["-m"] else arguments[:1]
        name = " ".join([name, *(os.path.basename(part) for part in shown if part != "-c")])
    return name


def _answers(port: Port) -> bool:
    host = LOOPBACK if port.host in ("0.0.0.0", "::", "") else port.host
    with contextlib.suppress(OSError), socket.create_connection((host, port.number), timeout=0.5):
        return True
    return False


def _binds(port: Port) -> bool:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if port.kind == "tcp" else socket.SOCK_DGRAM) as probe:
        if port.kind == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no matter
        try:
            probe.bind((port.host, port.number))
        except OSError:
            return False
    return True
