"""Whether this machine can run the product at all: its system, its C library, its free disk."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys

from worker.setup.places import ROOT
from worker.setup.problem import Problem

OLDEST_GLIBC = (2, 34)
OLDEST_MACOS = (15, 0)
# First set-up, measured, with some air: packages 0.9 GB, tools 0.2 GB, Go's caches 1.0 GB; the tests add torch, 6 GB.
COLD_BYTES = {"call": 3_000_000_000, "cpu": 3_500_000_000, "vibevoice": 9_000_000_000, "test": 9_000_000_000}


def check() -> None:
    """Raise Problem where the prebuilt packages of the locks do not run."""
    if sys.platform == "linux":
        _check_glibc(_confstr("CS_GNU_LIBC_VERSION"))
    elif sys.platform == "darwin":
        _check_macos(platform.mac_ver()[0], platform.machine())
    else:
        raise Problem(f"{sys.platform} is not supported: use Linux, macOS or WSL 2 on Windows")


def check_disk(needed_bytes: int) -> None:
    free = shutil.disk_usage(ROOT).free
    if free < needed_bytes:
        raise Problem(
            f"the disk has {free / 1e9:.1f} GB free in {ROOT}, the first set-up needs {needed_bytes / 1e9:.1f} GB: "
            "free some space, or clone to another disk"
        )


def has_openmp() -> bool:
    """GCC's OpenMP library, which the embedded language model is linked with and does not bring. Linux only."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return False
    return True


def _check_glibc(given: str | None) -> None:
    version = _version((given or "").removeprefix("glibc").strip())
    if version < OLDEST_GLIBC:
        raise Problem(
            f"the C library is {given or 'not glibc'}, glibc 2.34 or newer is needed: use Debian 12, Ubuntu 22.04, "
            "Fedora 35 or newer (Alpine does not work)"
        )


def _check_macos(given: str, machine: str) -> None:
    if machine != "arm64" or _version(given) < OLDEST_MACOS:
        raise Problem(
            f"this is macOS {given} on {machine}, macOS 15 or newer on Apple silicon is needed: "
            "update macOS, or use Linux"
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _confstr(name: str) -> str | None:
    try:
        return os.confstr(name)
    except (ValueError, OSError):
        return None
