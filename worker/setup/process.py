"""Runs one program of the set-up: quietly, with a deadline, a sign of life, and a Problem when it fails."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from worker.setup.places import ROOT
from worker.setup.problem import Problem, from_output

LIFE_EVERY_S = 10.0
KEPT_LINES = 400
DEADLINE_S = 1800.0

Command = Sequence[str | Path]


def execute(
    what: str,
    command: Command,
    *,
    life: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    deadline_s: float = DEADLINE_S,
) -> str:
    """Run to the end and return what it printed (its last lines). Raises Problem; ends the program on Ctrl-C."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=None if env is None else dict(env),
        cwd=cwd,
    )
    tail: deque[str] = deque(maxlen=KEPT_LINES)
    reader = threading.Thread(target=_keep, args=(process, tail), name=f"reader-{what}", daemon=True)
    reader.start()
    try:
        code = _wait(process, what, tail, life, deadline_s)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    reader.join(timeout=5)
    output = "".join(tail)
    if code:
        raise from_output(what, output, code)
    return output


def _wait(
    process: subprocess.Popen[str], what: str, tail: deque[str], life: Callable[[str], None], deadline_s: float
) -> int:
    started = time.monotonic()
    while True:
        try:
            return process.wait(timeout=LIFE_EVERY_S)
        except subprocess.TimeoutExpired:
            elapsed_s = time.monotonic() - started
            if elapsed_s > deadline_s:
                raise Problem(f"{what} was not done after {deadline_s:.0f} s and was stopped: try again") from None
            life(f"{elapsed_s:.0f} s  {tail[-1].strip()[:90] if tail else ''}".rstrip())


def _keep(process: subprocess.Popen[str], tail: deque[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        tail.extend(process.stdout)
