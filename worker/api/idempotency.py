"""Answers that are kept for a while, so that a request that is sent again with its Idempotency-Key is not made again.

Bounded in number, bytes and time; the sound lies in files without a name. Neither keys nor texts are kept, only hashes.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from worker.api.audio import Kept
from worker.api.errors import ApiError, Wrong, invalid

KEEP_S = 600.0
MAX_ANSWERS = 128
MAX_BYTES = 512 * 1024 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def owned(key: str, asker: str) -> str:
    """The key as `Answers` takes it: of this asker, so that nobody gets what another asked for. ApiError 422."""
    if not _KEY.fullmatch(key):
        raise invalid(Wrong("Idempotency-Key", key, "1 to 255 visible ASCII characters"))
    return f"{asker} {key}"


@dataclass(frozen=True, slots=True)
class _Entry:
    request: bytes  # what was asked, hashed
    until_s: float
    kept: Kept | None = None  # None: it is being made


class Answers:
    """`clock`: monotonic seconds."""

    def __init__(
        self,
        *,
        max_answers: int = MAX_ANSWERS,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._max_answers, self._max_bytes = max_answers, max_bytes
        self._clock = clock

    def begin(self, key: str, request: str) -> Kept | None:
        """The answer that was kept, to be closed; None: make it, then call `keep` or `forget`.

        ApiError 409 while it is being made, 422 when the key came with another request.
        """
        self._drop_old()
        name, asked = hashed(key), hashed(request)
        entry = self._entries.get(name)
        if entry is None:
            self._entries[name] = _Entry(asked, self._clock() + KEEP_S)
            return None
        if entry.request != asked:
            raise reused()
        if entry.kept is None:
            raise unfinished()
        return _again(entry.kept)

    def find(self, key: str) -> Kept | None:
        """The answer that was kept, to be closed."""
        self._drop_old()
        entry = self._entries.get(hashed(key))
        return _again(entry.kept) if entry is not None and entry.kept is not None else None

    def keep(self, key: str, kept: Kept) -> Kept:
        """Keeps the answer; gives another handle on it, to be closed."""
        name = hashed(key)
        entry = self._entries.get(name)
        if entry is None or kept.size > self._max_bytes:
            self.forget(key)
            return kept
        self._entries[name] = replace(entry, until_s=self._clock() + KEEP_S, kept=kept)
        self._entries.move_to_end(name)
        mine = _again(kept)
        self._drop_old()
        return mine

    def forget(self, key: str) -> None:
        """It could not be made: the next request tries again."""
        self._entries.pop(hashed(key), None)

    def close(self) -> None:
        for entry in self._entries.values():
            _close(entry)
        self._entries.clear()

    @property
    def size(self) -> int:
        return sum(entry.kept.size for entry in self._entries.values() if entry.kept)

    def _drop_old(self) -> None:
        """Those that are over, then the oldest that are too many. What is being made stays: its maker ends it."""
        for name, entry in list(self._entries.items()):
            too_much = len(self._entries) > self._max_answers or self.size > self._max_bytes
            if entry.kept is not None and (too_much or entry.until_s <= self._clock()):
                _close(self._entries.pop(name))


def reused() -> ApiError:
    return ApiError(422, "key_reused", "This Idempotency-Key came with another request; take a new one.")


def unfinished() -> ApiError:
    return ApiError(409, "in_progress", "This request is still being answered.", retry_after_s=1)


def hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def _again(kept: Kept) -> Kept:
    """Another handle, which lives on when the first is closed. Both share their place: seek before a read."""
    kept.sound.flush()
    return replace(kept, sound=os.fdopen(os.dup(kept.sound.fileno()), "rb"))


def _close(entry: _Entry) -> None:
    if entry.kept is not None:
        entry.kept.sound.close()
