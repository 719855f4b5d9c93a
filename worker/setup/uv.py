"""Finds uv, or installs it at its pinned version into `.tools/uv`. Makes the virtual environments of other tools."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from worker.setup.places import REQUIREMENTS, TOOLS
from worker.setup.problem import Problem
from worker.setup.process import Command, execute

OLDEST = (0, 5)
HOME = TOOLS / "uv"
Life = Callable[[str], None]


def find() -> Path | None:
    on_path = shutil.which("uv")
    if on_path and _version(on_path) >= OLDEST:
        return Path(on_path)
    own = HOME / "bin" / "uv"
    return own if own.exists() else None


def ensure(life: Life) -> Path:
    """The uv to use. Raises Problem when this Python has neither pip nor venv."""
    if found := find():
        return found
    shutil.rmtree(HOME, ignore_errors=True)
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        execute("python -m venv", [sys.executable, "-m", "venv", HOME], life=life)
        _pip([HOME / "bin" / "python"], [], life)
    elif importlib.util.find_spec("pip"):
        _pip([sys.executable], ["--target", HOME], life)
    else:
        minor = sys.version_info.minor
        raise Problem(
            f"{sys.executable} has neither pip nor venv, and uv is not installed: "
            f"apt install python3.{minor}-venv (Fedora: dnf install python3-pip)"
        )
    if found := find():
        return found
    raise Problem(f"uv was installed but is not in {HOME}/bin: remove {HOME} and try again")


def tool(name: str, life: Life) -> Path:
    """Install requirements/NAME.txt into an environment of its own, `.tools/NAME`; return its bin folder."""
    home = TOOLS / name
    uv = ensure(life)
    execute(f"uv venv .tools/{name}", [uv, "venv", "--clear", "--python", sys.executable, home], life=life)
    lock = REQUIREMENTS / f"{name}.txt"
    command: Command = [uv, "pip", "install", "--python", home / "bin" / "python", "--require-hashes", "-r", lock]
    execute(f"uv pip install of {name}", command, life=life)
    return home / "bin"


def _pip(python: Command, options: Command, life: Life) -> None:
    lock = REQUIREMENTS / "uv.txt"
    command = [*python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options]
    execute("pip install uv", [*command, "--require-hashes", "--only-binary", ":all:", "-r", lock], life=life)


def _version(uv: str) -> tuple[int, ...]:
    try:
        text = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"(\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else ()
