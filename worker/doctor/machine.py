"""Python, system, cores, memory, disk, GPU and ports."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

import psutil

from worker.dev import ports
from worker.doctor.finding import Finding, missing, note, ok
from worker.settings import Settings
from worker.setup import machine
from worker.setup.places import ROOT
from worker.setup.problem import Problem

NEEDED_BYTES = 2 * 2**30  # the whole embedded stack with one call
NEEDED_DISK_BYTES = 10**9
GB = 1e9


def look_at_machine(_: Settings) -> list[Finding]:
    return [_python(), _system(), _cores(), _memory(), _disk(), _gpu()]


def look_at_ports(settings: Settings) -> list[Finding]:
    from worker.dev import starts_engine, starts_livekit

    return [
        _port(port)
        for port in ports.all_ports(settings, livekit=starts_livekit(settings), engine=starts_engine(settings))
    ]


def _python() -> Finding:
    text = f"{platform.python_version()} ({sys.executable})"
    if (3, 11) <= sys.version_info[:2] < (3, 15):
        return ok("Python", text)
    return missing("Python", f"{text}; 3.11 to 3.14 is needed", "make setup PYTHON=python3.11")


def _system() -> Finding:
    text = f"{platform.system()} {platform.release()} on {platform.machine()}"
    try:
        machine.check()
    except Problem as problem:
        what, _, mend = str(problem).partition(": ")
        return missing("system", what, mend)
    return ok("system", text)


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2:
        return note("cores", f"{cores}: one embedded call needs two", "use a larger machine, or providers in the cloud")
    return ok("cores", str(cores))


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    text = f"{memory.available / GB:.1f} of {memory.total / GB:.1f} GB free"
    if memory.available < NEEDED_BYTES:
        return note("memory", f"{text}; the embedded stack needs about 2 GB", "close other programs")
    return ok("memory", text)


def _disk() -> Finding:
    usage = shutil.disk_usage(ROOT)
    text = f"{usage.free / GB:.1f} GB free"
    return ok("disk", text) if usage.free > NEEDED_DISK_BYTES else missing("disk", text, "free some space")


def _gpu() -> Finding:
    if names := _nvidia():
        return ok("GPU", names)
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ok("GPU", "Apple silicon (TTS_DEVICE=mps)")
    return note("GPU", "none: the embedded voice needs none, VibeVoice needs one to speak in real time")


def _nvidia() -> str:
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(line.strip() for line in done.stdout.splitlines() if line.strip())


def _port(port: ports.Port) -> Finding:
    name = port.variable
    if port.is_free:
        return ok(name, f"{port.number} is free")
    by = ports.holder(port) or "another program"
    if "worker.cli" in by or "livekit-server" in by:
        return note(name, f"{port.number} is held by our own {by}")
    return missing(name, f"{port.number} is in use by {by}", f"end it, or set {name} to another number")
