"""Debian packages that only the phone and the tests need, installed where we are root and apt exists."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from worker.setup import livekit_sip, machine
from worker.setup.problem import Problem
from worker.setup.process import execute

# program that must be on PATH, or file that must be there → its package
_BRIDGE = {
    "gcc": "gcc",
    "pkg-config": "pkg-config",
    "/usr/include/stdio.h": "libc6-dev",
    "/usr/include/opus/opus.h": "libopus-dev",
    "/usr/include/opus/opusfile.h": "libopusfile-dev",
    "/usr/include/soxr.h": "libsoxr-dev",
}
_REDIS = {"redis-server": "redis-server"}
TESTS = {
    "chromium": "chromium",
    "ip": "iproute2",
    "ss": "iproute2",
    "unshare": "util-linux",
    "baresip": "baresip-core",
    "sipp": "sip-tester",
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    **_REDIS,
    **_BRIDGE,
}
PHONE = {**_REDIS, **_BRIDGE}


def missing(wanted: Mapping[str, str]) -> list[str]:
    """Packages of `wanted` that are not here. What the bridge is built with is not asked for where there is one."""
    built = livekit_sip.PROGRAM.find() is not None
    return sorted(
        {package for sign, package in wanted.items() if not _is_there(sign) and not (built and sign in _BRIDGE)}
    )


def can_install() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def ensure(life: Callable[[str], None], wanted: Mapping[str, str] = TESTS) -> bool:
    """Install what is missing. Where that is not ours to do, say what it is: the tests that need it are skipped."""
    packages = missing(wanted)
    if not packages:
        return False
    if not can_install():
        life(f"not installed, what needs them is left out: {' '.join(packages)}")
        return False
    _install(packages, life)
    return True


def ensure_openmp(life: Callable[[str], None]) -> None:
    """The one system library that a call needs. Raises Problem where it is missing and not ours to install."""
    if machine.has_openmp():
        return
    if not can_install():
        raise Problem(
            "libgomp.so.1 is missing, which the embedded language model needs: "
            "apt install libgomp1 (Fedora: dnf install libgomp)"
        )
    _install(["libgomp1"], life)


def _install(packages: list[str], life: Callable[[str], None]) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    execute("apt-get update", ["apt-get", "update"], life=life, env=env, deadline_s=300)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    execute("apt-get install", command, life=life, env=env)


def _is_there(sign: str) -> bool:
    return Path(sign).exists() if sign.startswith("/") else shutil.which(sign) is not None
