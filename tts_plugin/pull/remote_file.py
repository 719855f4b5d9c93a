"""One file somewhere else: its address, and what it must be to be believed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    name: str
    url: str
    digest_kind: Literal["sha256", "git blob"]
    digest: str
    bytes: int | None  # None: not known
    max_bytes: int  # of a file whose size is not known

    @property
    def limit_bytes(self) -> int:
        return self.max_bytes if self.bytes is None else self.bytes


def digest_of(file: RemoteFile, path: Path, on_bytes: Callable[[int], None]) -> str:
    """The digest of a file on disk, of the kind that `file` is known by. Reads block by block."""
    if file.digest_kind == "git blob":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    done = 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            on_bytes(done)
    return digest.hexdigest()
