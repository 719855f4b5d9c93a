"""The locked Python environment in `.venv`: made by uv from requirements/, and left alone while nothing changed.

A stamp in `.venv` says from what it was made. "test" holds all of "vibevoice", that all of "cpu", that all of "call".
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from worker.setup import uv
from worker.setup.places import REQUIREMENTS, ROOT, VENV, VENV_PYTHON
from worker.setup.process import Command, execute

Kind = Literal["call", "cpu", "vibevoice", "test"]  # cpu: VibeVoice without torch
_GROWING: tuple[Kind, ...] = ("call", "cpu", "vibevoice", "test")
STAMP = VENV / "tts-ops.stamp"
# What an editable install copies or reads; the rest of the code is used in place.
INSTALLED = ("pyproject.toml", "tts_plugin/_livekit_namespace.py", "tts_plugin/__init__.py")


def is_current(kind: Kind) -> bool:
    enough = _GROWING[_GROWING.index(kind) :]
    return VENV_PYTHON.exists() and _read(STAMP) in map(stamp, enough)


def ensure(kind: Kind, life: Callable[[str], None]) -> bool:
    """Bring `.venv` to the lock. Returns whether there was anything to do; raises Problem."""
    if is_current(kind):
        return False
    kind = max((kind, *(k for k in _GROWING if _read(STAMP).startswith(f"{k} "))), key=_GROWING.index)
    program = uv.ensure(life)
    STAMP.unlink(missing_ok=True)
    if not _fits():
        execute("uv venv", [program, "venv", "--clear", "--python", sys.executable, VENV], life=life)
    _sync(program, kind, life)
    STAMP.write_text(stamp(kind))
    return True


def stamp(kind: Kind) -> str:
    """Changes with the locks, the project's metadata, the Python version and the place of the checkout."""
    digest = hashlib.sha256(f"{platform.python_version()} {ROOT}".encode())
    for path in (*locks(kind), *(ROOT / name for name in INSTALLED)):
        digest.update(path.read_bytes() if path.exists() else b"")
    return f"{kind} {digest.hexdigest()}"


def locks(kind: Kind) -> tuple[Path, ...]:
    return REQUIREMENTS / f"{kind}.txt", REQUIREMENTS / "llm.txt"


def _sync(program: Path, kind: Kind, life: Callable[[str], None]) -> None:
    pip: Command = [program, "pip"]
    into: Command = ["--python", VENV_PYTHON]
    sync: Command = [*pip, "sync", *into, "--require-hashes", "--compile-bytecode", *locks(kind)]
    execute("uv pip sync", sync, life=life)
    project: Command = [*pip, "install", *into, "--no-deps", "--no-build-isolation", "--editable", ROOT]
    execute("uv pip install of this project", project, life=life)


def _fits() -> bool:
    """Is there an environment of this very Python version?"""
    version = re.search(r"^version(?:_info)?\s*=\s*([\d.]+)", _read(VENV / "pyvenv.cfg"), re.MULTILINE)
    return VENV_PYTHON.exists() and version is not None and version[1] == platform.python_version()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
