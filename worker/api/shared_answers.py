"""Answers that every copy of the service can give again: in redis besides in the files of the copy that made them.

Bounded in number, bytes and time. Where redis is away, and for an answer too large for it, each copy knows its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time

from worker.api.audio import Kept
from worker.api.idempotency import KEEP_S, MAX_ANSWERS, Answers, hashed, reused, unfinished
from worker.api.shared import Away, Shared

MAX_ONE_BYTES = 4 * 1024 * 1024
MAX_BYTES = 128 * 1024 * 1024  # of all
CLAIM_S = 30.0  # that an answer is being made; a copy that dies holds nobody up for longer
RENEW_S = 10.0
SEND_S = 2.0  # of one large answer
_PREFIX = "{tts-ops:answers}"  # in braces: a cluster keeps them on one machine
_INDEX = f"{_PREFIX}:all"
# KEYS: the answer. ARGV: the request, how long the claim holds.
_CLAIM = """
if redis.call('exists', KEYS[1]) == 1 then return redis.call('hmget', KEYS[1], 'request', 'media_type', 'sound') end
redis.call('hset', KEYS[1], 'request', ARGV[1])
redis.call('pexpire', KEYS[1], ARGV[2])
return false
"""
_FIND = "return redis.call('hmget', KEYS[1], 'media_type', 'sound')"
# KEYS: the answer, all of them. ARGV: request, type, sound, ms to keep it, µs now, most answers, most bytes.
_KEEP = """
redis.call('hset', KEYS[1], 'request', ARGV[1], 'media_type', ARGV[2], 'sound', ARGV[3])
redis.call('pexpire', KEYS[1], ARGV[4])
redis.call('zadd', KEYS[2], ARGV[5], KEYS[1])
redis.call('zremrangebyscore', KEYS[2], '-inf', ARGV[5] - 1000 * ARGV[4])
redis.call('pexpire', KEYS[2], ARGV[4])
local answers, bytes = 0, 0
for _, name in ipairs(redis.call('zrevrange', KEYS[2], 0, -1)) do
  answers, bytes = answers + 1, bytes + redis.call('hstrlen', name, 'sound')
  if answers > tonumber(ARGV[6]) or bytes > tonumber(ARGV[7]) then
    redis.call('del', name)
    redis.call('zrem', KEYS[2], name)
  end
end
"""


class SharedAnswers:
    """As `Answers`, whose bounds are this copy's own."""

    def __init__(self, shared: Shared, here: Answers | None = None, *, max_bytes: int = MAX_BYTES) -> None:
        self._shared, self._max_bytes = shared, max_bytes
        self._here = here or Answers()
        self._claims: dict[str, tuple[bytes, asyncio.Task[None]]] = {}  # what this copy makes, and who says so

    async def begin(self, key: str, request: str) -> Kept | None:
        """The answer that was kept, to be closed; None: make it, then call `keep` or `forget`. Raises as `Answers`."""
        kept = self._here.begin(key, request)
        if kept is not None:
            return kept
        try:
            return await self._claim(key, hashed(request))
        except BaseException:
            self._here.forget(key)
            raise

    async def keep(self, key: str, kept: Kept) -> Kept:
        """Keeps the answer; gives another handle on it, to be closed."""
        mine = self._here.keep(key, kept)
        request = self._end_claim(key)
        if request is None:
            return mine
        if mine.size > MAX_ONE_BYTES:
            await self._drop(key)
            return mine
        mine.sound.seek(0)
        sound = mine.sound.read()
        bounds = (int(KEEP_S * 1000), int(time.time() * 1e6), MAX_ANSWERS, self._max_bytes)
        with contextlib.suppress(Away):
            await self._shared.ask(
                lambda redis: redis.eval(_KEEP, 2, _key(key), _INDEX, request, mine.media_type, sound, *bounds),
                within_s=SEND_S,
            )
        return mine

    async def forget(self, key: str) -> None:
        """It could not be made: the next request tries again."""
        self._here.forget(key)
        if self._end_claim(key) is not None:
            await self._drop(key)

    async def find(self, key: str) -> Kept | None:
        """The answer that was kept, to be closed."""
        kept = self._here.find(key)
        if kept is not None:
            return kept
        try:
            media_type, sound = await self._shared.ask(lambda redis: redis.eval(_FIND, 1, _key(key)), within_s=SEND_S)
        except Away:
            return None
        return _kept(media_type, sound) if sound is not None else None

    def close(self) -> None:
        for _, renewing in self._claims.values():
            renewing.cancel()
        self._claims.clear()
        self._here.close()

    async def _claim(self, key: str, request: bytes) -> Kept | None:
        try:
            other = await self._shared.ask(
                lambda redis: redis.eval(_CLAIM, 1, _key(key), request, int(CLAIM_S * 1000)), within_s=SEND_S
            )
        except Away:
            return None
        if other is None:
            self._claims[key] = request, asyncio.create_task(self._renew(key), name="answer-claim")
            return None
        asked, media_type, sound = other
        if asked != request:
            raise reused()
        if sound is None:
            raise unfinished()
        return self._here.keep(key, _kept(media_type, sound))

    async def _renew(self, key: str) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._shared.ask(lambda redis: redis.pexpire(_key(key), int(CLAIM_S * 1000)))
            except Away:
                continue

    def _end_claim(self, key: str) -> bytes | None:
        """What was asked for; None when it is not claimed in redis."""
        request, renewing = self._claims.pop(key, (None, None))
        if renewing is not None:
            renewing.cancel()
        return request

    async def _drop(self, key: str) -> None:
        try:
            await self._shared.ask(lambda redis: redis.delete(_key(key)))
        except Away:
            return  # it lapses


def _kept(media_type: bytes, sound: bytes) -> Kept:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - whoever gets it closes it
    file.write(sound)
    return Kept(file, media_type.decode(), len(sound))


def _key(key: str) -> str:
    return f"{_PREFIX}:{hashed(key).hex()}"
