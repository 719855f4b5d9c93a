"""livekit-client for the call page, in `.tools/web`: npm's file, checked against web_demo/package-lock.json."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from worker.setup import uv
from worker.setup.places import ROOT, TOOLS
from worker.setup.problem import Problem
from worker.setup.process import execute

HOME = TOOLS / "web"
OWN = HOME / "node_modules" / "livekit-client" / "dist" / "livekit-client.esm.mjs"
STAMP = HOME / "installed.json"  # the lock that was installed
LOCK = ROOT / "web_demo" / "package-lock.json"
OLDEST_NPM = 7  # reads lock files of version 3


def find() -> Path | None:
    """The library's one file, at the version of the lock, or None."""
    return OWN if OWN.exists() and STAMP.exists() and STAMP.read_bytes() == LOCK.read_bytes() else None


def ensure(life: Callable[[str], None]) -> bool:
    """Install it where it is missing or old. Returns whether there was anything to do; raises Problem."""
    if find():
        return False
    HOME.mkdir(parents=True, exist_ok=True)
    STAMP.unlink(missing_ok=True)
    for file in (LOCK, LOCK.with_name("package.json")):
        shutil.copy(file, HOME)
    npm, brought = _npm(life)
    env = os.environ | {"PATH": f"{npm.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    options = ["--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]
    execute("npm ci of livekit-client", [npm, "ci", *options], life=life, env=env, cwd=HOME, deadline_s=300)
    if not OWN.exists():
        raise Problem(f"npm did not install {OWN.relative_to(ROOT)}: remove {HOME} and try again")
    shutil.copy(LOCK, STAMP)
    if brought:
        shutil.rmtree(TOOLS / "node", ignore_errors=True)
    return True


def _npm(life: Callable[[str], None]) -> tuple[Path, bool]:
    """An npm that is new enough, and whether it was brought for this one use."""
    on_path = shutil.which("npm")
    if on_path and shutil.which("node") and _major(on_path) >= OLDEST_NPM:
        return Path(on_path), False
    return uv.tool("node", life) / "npm", True


def _major(npm: str) -> int:
    try:
        text = subprocess.run([npm, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.match(r"\d+", text.strip())
    return int(match[0]) if match else 0
