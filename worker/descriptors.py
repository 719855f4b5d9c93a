"""File descriptors of this process: how many there may be, and whether a call more can still be opened."""

from __future__ import annotations

import contextlib
import os
import resource

CALL_NEEDS = 16  # a job process takes seven; its room for others: the health routes, the engines' sockets
ASKED_FOR = 65_536


def raise_limit() -> None:
    """As many as the system lets us have; without the right to it, everything stays as it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ASKED_FOR if hard == resource.RLIM_INFINITY else min(hard, ASKED_FOR)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def can_open_a_call() -> bool:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return True
    try:
        return soft - len(os.listdir("/dev/fd")) >= CALL_NEEDS
    except OSError:  # looking takes one, too
        return False
