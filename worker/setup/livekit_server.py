"""livekit-server: the one on PATH, else `.tools/bin/livekit-server`, built at a pinned version by `go install`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from worker.setup import go_program
from worker.setup.go_program import GoProgram

PROGRAM = GoProgram(
    name="livekit-server",
    package="github.com/livekit/livekit-server/cmd/server",
    module="github.com/livekit/livekit-server",
    version="1.13.5",
    oldest=(1, 11),  # the oldest that was tried with this worker
)


def find() -> Path | None:
    """The server that `tts-ops dev` and the tests start, or None."""
    return PROGRAM.find()


def ensure(life: Callable[[str], None]) -> bool:
    """Build it where there is none. Returns whether there was anything to do; raises Problem."""
    return go_program.ensure([PROGRAM], life)
