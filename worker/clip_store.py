"""Rendered phrases on disk, so that a worker that starts does not render them again. Bounded; a file is never half.

Knows nothing of engines: `voice` is whatever tells two renderings of one text apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MAX_FILES = 256
MAX_CLIP_BYTES = 2 * 24_000 * 30  # 30 s
LOCK_TIMEOUT_S = 20.0
LOCK_POLL_S = 0.05
_SUFFIX = ".s16"

log = logging.getLogger(__name__)


class ClipStore:
    """A folder that cannot be used is no error: everything is simply not found."""

    def __init__(self, folder: Path) -> None:
        try:
            folder = folder.expanduser()
        except RuntimeError:  # a container's user without a home
            folder = Path(tempfile.gettempdir()) / "tts-ops"
        self._folder = folder / "phrases"

    def get(self, voice: str, text: str) -> bytes | None:
        path = self._path(voice, text)
        try:
            pcm = path.read_bytes()
            os.utime(path)  # the longest unused go first
        except OSError:
            return None
        return pcm if 0 < len(pcm) <= MAX_CLIP_BYTES and len(pcm) % 2 == 0 else None

    def put(self, voice: str, text: str, pcm: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                try:
                    file.write(pcm)
                    file.flush()
                    os.replace(file.name, self._path(voice, text))
                except OSError:
                    os.unlink(file.name)
                    raise
            self._forget_oldest()
        except OSError as error:
            log.warning("a phrase could not be kept on disk: %s", error.strerror)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One process renders, the others wait for what it keeps: for LOCK_TIMEOUT_S at most. Blocks the thread."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            yield
            return
        try:
            _wait_for(lock)
            yield
        finally:
            os.close(lock)  # releases it

    def _path(self, voice: str, text: str) -> Path:
        return self._folder / (hashlib.sha256(f"{voice}\0{text}".encode()).hexdigest()[:40] + _SUFFIX)

    def _forget_oldest(self) -> None:
        files = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for path in files[:-MAX_FILES]:
            path.unlink(missing_ok=True)


def _wait_for(lock: int) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > deadline:  # its holder is stuck: render ourselves
                return
            time.sleep(LOCK_POLL_S)
