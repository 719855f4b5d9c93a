"""What can go wrong in a set-up, in one line that says what it is and how to mend it."""

from __future__ import annotations

import errno
import re

AGAIN = "then run it again: what is done already is kept"


class Problem(Exception):
    """Its text is the whole message for a person."""


def from_os_error(error: OSError) -> Problem:
    where = f" ({error.filename})" if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return Problem(f"the disk is full{where}: free some space, {AGAIN}")
        case errno.EACCES | errno.EPERM:
            return Problem(f"no permission to write{where}: run as the owner of this folder, or `chown -R $USER .`")
        case errno.EROFS:
            return Problem(f"the file system is read-only{where}: clone to a folder that can be written")
        case errno.ENOMEM:
            return Problem(f"out of memory: close other programs, {AGAIN}")
        case _:
            return Problem(f"{error.strerror or error}{where}")


def from_output(what: str, output: str, code: int) -> Problem:
    """Why `what` failed, by the words of its output; without known words, its last line that says something."""
    for pattern, text in _KNOWN:
        if match := re.search(pattern, output, re.IGNORECASE):
            return Problem(f"{what}: {text.format(*match.groups())}")
    return Problem(f"{what} failed with code {code}: {_last_line(output)}")


_KNOWN = (
    (r"no space left on device|disk quota exceeded|ENOSPC", f"the disk is full: free some space, {AGAIN}"),
    (
        r"hash mismatch|EINTEGRITY|checksum mismatch|do not match the hashes",
        "a download does not have the pinned hash: a proxy changed it or the cache is broken; clear the cache of "
        "uv, npm or go and try once more",
    ),
    (r"permission denied|EACCES|operation not permitted", "no permission to write: run as the owner of this folder"),
    (
        r"failed to build[^\n`]*`([^`\n]+)`",
        "{0} has no prebuilt package for this Python or machine and could not be compiled: use Python 3.11 to 3.13, or "
        "install a compiler (Debian and Ubuntu: apt install build-essential; macOS: xcode-select --install)",
    ),
    (
        r"dns error|failed to lookup address|name resolution|no such host|ENOTFOUND|EAI_AGAIN|network is unreachable"
        r"|connection refused|ECONNREFUSED|connection reset|ECONNRESET|timed out|ETIMEDOUT|i/o timeout"
        r"|could not connect|failed to fetch|certificate",
        f"a package index cannot be reached: check the network and the proxy settings, {AGAIN}",
    ),
    (r"signal: killed|cannot allocate memory|out of memory", f"out of memory: close other programs, {AGAIN}"),
)


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"
