"""Ends a supervisor's process groups when the supervisor itself was killed. Run as a script; standard library only.

Reads `+PGID` and `-PGID` lines from standard input. When that closes, the supervisor is gone: SIGTERM to every group
still named, then SIGKILL. After an orderly end there is no group left, and nothing to do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

GRACE_S = 2.5


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end(groups)


def end(groups: set[int]) -> None:
    send(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while send(groups, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    send(groups, signal.SIGKILL)


def send(groups: set[int], number: int) -> bool:
    """Whether any group was still there."""
    found = False
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            found = True
    return found


if __name__ == "__main__":
    main()
