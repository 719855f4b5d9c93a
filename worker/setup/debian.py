"""Debian packages that only the tests need, installed where we are root and apt exists."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from worker.setup.process import execute

# program that must be on PATH → its package
PACKAGES = {
    "chromium": "chromium",
    "ip": "iproute2",
    "ss": "iproute2",
    "unshare": "util-linux",
    "redis-server": "redis-server",
}


def missing() -> list[str]:
    return sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})


def can_install() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def ensure(life: Callable[[str], None]) -> bool:
    """Install what is missing. Where that is not ours to do, say what it is: the tests that need it are skipped."""
    packages = missing()
    if not packages:
        return False
    if not can_install():
        life(f"not installed, tests that need them are skipped: {' '.join(packages)}")
        return False
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    execute("apt-get update", ["apt-get", "update"], life=life, env=env, deadline_s=300)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    execute("apt-get install", command, life=life, env=env)
    return True
