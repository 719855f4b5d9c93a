"""Conversations that every copy of the service knows: in redis; in this process where it is away.

Bounded in number, turns and time, as those of one process are. Redis holds what was said, until 30 minutes after.
"""

from __future__ import annotations

import hashlib
import json
import time

from worker.api.conversations import KEEP_S, MAX_TURNS, Conversations, Message
from worker.api.shared import Away, Shared

MAX_CONVERSATIONS = 4_096
_PREFIX = "{tts-ops:turns}"  # in braces: a cluster keeps them on one machine
_INDEX = f"{_PREFIX}:all"
# One turn more, and the oldest conversations less. KEYS: the conversation, all of them.
# ARGV: two messages, most messages, ms to keep them, µs now, most conversations.
_ADD = """
redis.call('rpush', KEYS[1], ARGV[1], ARGV[2])
redis.call('ltrim', KEYS[1], -tonumber(ARGV[3]), -1)
redis.call('pexpire', KEYS[1], ARGV[4])
redis.call('zadd', KEYS[2], ARGV[5], KEYS[1])
redis.call('zremrangebyscore', KEYS[2], '-inf', ARGV[5] - 1000 * ARGV[4])
redis.call('pexpire', KEYS[2], ARGV[4])
local more = redis.call('zcard', KEYS[2]) - tonumber(ARGV[6])
if more > 0 then
  for _, old in ipairs(redis.call('zrange', KEYS[2], 0, more - 1)) do redis.call('del', old) end
  redis.call('zremrangebyrank', KEYS[2], 0, more - 1)
end
"""


class SharedTurns:
    def __init__(self, shared: Shared, *, most: int = MAX_CONVERSATIONS) -> None:
        self._shared, self._most = shared, most
        self._here = Conversations()

    async def said(self, id: str) -> list[Message]:
        """Empty for one that is new or forgotten."""
        try:
            kept = await self._shared.ask(lambda redis: redis.lrange(_key(id), 0, -1))
        except Away:
            return self._here.said(id)
        return [Message(*json.loads(one)) for one in kept]

    async def add(self, id: str, text: str, answer: str) -> None:
        """One turn. Turns of one conversation that were asked for at once stand in the order in which they ended."""
        turn = [json.dumps(["user", text]), json.dumps(["assistant", answer])]
        bounds = [2 * MAX_TURNS, int(KEEP_S * 1000), int(time.time() * 1e6), self._most]
        try:
            await self._shared.ask(lambda redis: redis.eval(_ADD, 2, _key(id), _INDEX, *turn, *bounds))
        except Away:
            self._here.add(id, text, answer)


def _key(id: str) -> str:
    return f"{_PREFIX}:{hashlib.sha256(id.encode()).hexdigest()}"
