"""API keys: a file of hashes. A key is shown once, when it is made; the file could not give it back.

Knows nothing of HTTP. The hash is a plain SHA-256: a key has 256 random bits, so there is nothing to guess at.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from worker.settings import SettingsError

LOOK_S = 0.5  # how long a revoked key may still be taken
MAX_KEYS = 10_000
PREFIX = "ttsops"
_SHAPE = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of one key. `made`: a UTC time as text."""

    id: str
    name: str
    sha256: str
    made: str


class KeyFile:
    """The keys in one file. A change by another process is seen within LOOK_S."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path.expanduser()
        self._clock = clock
        self._looked_s = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    def all(self) -> list[Key]:
        """SettingsError when the file is not one of keys, or others can write it."""
        self._look(self._clock())
        return list(self._keys.values())

    def find(self, text: str) -> Key | None:
        """The key that `text` is; None when there is none such."""
        now = self._clock()
        if now - self._looked_s > LOOK_S:
            self._look(now)
        shape = _SHAPE.fullmatch(text)
        key = self._keys.get(shape[1]) if shape else None
        return key if key and hmac.compare_digest(key.sha256, _hash(text)) else None

    def add(self, name: str) -> tuple[Key, str]:
        """A new key, and its text, which is nowhere kept. SettingsError for a name that is no name, or is taken."""
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"a key's name is {name!r}; allowed: 1 to 64 of A-Z a-z 0-9 space . _ -, no blank first"
            )
        id_ = secrets.token_hex(6)
        text = f"{PREFIX}_{id_}_{secrets.token_urlsafe(32)}"
        key = Key(id_, name, _hash(text), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        with self._alone():
            keys = self.all()
            if any(k.name == name for k in keys):
                raise SettingsError(f"there is a key named {name!r} already; revoke it first, or take another name")
            if len(keys) >= MAX_KEYS:
                raise SettingsError(f"{self.path} holds {len(keys)} keys; {MAX_KEYS} are allowed")
            self._write([*keys, key])
        return key, text

    def revoke(self, which: str) -> Key:
        """Take away the key of this id or name. SettingsError when there is none."""
        with self._alone():
            keys = self.all()
            gone = next((k for k in keys if which in (k.id, k.name)), None)
            if gone is None:
                raise SettingsError(f"there is no key {which!r}; `tts-ops keys list` shows them")
            self._write([k for k in keys if k is not gone])
        return gone

    def _look(self, now_s: float) -> None:
        self._looked_s = now_s
        try:
            state = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, {}
            return
        except OSError as error:
            raise SettingsError(f"API_KEYS_FILE is {str(self.path)!r}: {error.strerror}") from None
        stamp = (state.st_mtime_ns, state.st_ino, state.st_size)
        if stamp == self._stamp:
            return
        if state.st_mode & 0o022:
            raise SettingsError(f"API_KEYS_FILE is {str(self.path)!r}: others can write it; `chmod 600` it")
        self._keys, self._stamp = _read(self.path), stamp

    def _write(self, keys: list[Key]) -> None:
        """All of it or nothing: a reader never sees half a file."""
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({"keys": [asdict(key) for key in keys]}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except OSError as error:
            raise SettingsError(f"API_KEYS_FILE is {str(self.path)!r}: {error.strerror}") from None
        self._looked_s = float("-inf")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process changes the file meanwhile."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise SettingsError(f"API_KEYS_FILE is {str(self.path)!r}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _read(path: Path) -> dict[str, Key]:
    try:
        keys = [Key(**entry) for entry in json.loads(path.read_text())["keys"]]
    except OSError as error:
        raise SettingsError(f"API_KEYS_FILE is {str(path)!r}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise SettingsError(f"API_KEYS_FILE is {str(path)!r}: not a file that `tts-ops keys add` wrote") from None
    return {key.id: key for key in keys}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
