"""livekit-server: the one on PATH, else `.tools/bin/livekit-server`, built at a pinned version by `go install`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from worker.setup import go
from worker.setup.places import TOOLS
from worker.setup.process import Command, execute

VERSION = "1.13.5"
OLDEST = (1, 11)  # the oldest that was tried with this worker
MODULE = "github.com/livekit/livekit-server/cmd/server"
OWN = TOOLS / "bin" / "livekit-server"
STAMP = OWN.with_suffix(".version")


def find() -> Path | None:
    """The server that `tts-ops dev` and the tests start, or None."""
    on_path = shutil.which("livekit-server")
    if on_path and version(Path(on_path)) >= OLDEST:
        return Path(on_path)
    return OWN if _is_built() else None


def ensure(life: Callable[[str], None]) -> bool:
    """Build it where there is none. Returns whether there was anything to do; raises Problem."""
    if find():
        return False
    work = TOOLS / "go-install"
    with go.toolchain(life) as (program, env):
        command: Command = [program, "install", "-ldflags=-s -w", f"{MODULE}@v{VERSION}"]
        execute("go install of livekit-server", command, life=life, env=env | {"GOBIN": str(work)}, cwd=_empty(work))
        OWN.parent.mkdir(parents=True, exist_ok=True)
        (work / "server").replace(OWN)
    STAMP.write_text(VERSION)
    shutil.rmtree(work, ignore_errors=True)
    return True


def version(program: Path) -> tuple[int, ...]:
    """What `livekit-server --version` says, or () where it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, match.groups())) if match else ()


def _is_built() -> bool:
    return OWN.exists() and STAMP.exists() and STAMP.read_text() == VERSION


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
