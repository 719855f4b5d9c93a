"""Conversations kept in redis for a watcher that knows nothing yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio as redis

from worker.handover import Turn
from worker.settings import Settings, SettingsError
from worker.watch import patrol
from worker.watch.conversations import KEPT_S, KEY, Conversations

SAID = (Turn("user", "Is the gate open?"), Turn("assistant", "Yes, it", interrupted=True))


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[redis.Redis]:
    client = redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def conversations(redis_url: str) -> AsyncIterator[Conversations]:
    made = Conversations(redis_url)
    yield made
    await made.aclose()


async def test_another_watcher_knows_what_was_said(conversations: Conversations, redis_url: str) -> None:
    await conversations.save({"call-a": SAID, "call-b": SAID[:1]})
    other = Conversations(redis_url)
    assert await other.load("call-a") == SAID
    assert await other.load("call-c") == ()
    await other.aclose()


async def test_it_lapses_after_the_call(conversations: Conversations, server: redis.Redis) -> None:
    await conversations.save({"call-a": SAID})
    assert 0 < await server.ttl(f"{KEY}:call-a") <= KEPT_S


async def test_only_what_is_new_is_written(conversations: Conversations, server: redis.Redis) -> None:
    await conversations.save({"call-a": SAID})
    await server.delete(f"{KEY}:call-a")
    await conversations.save({"call-a": SAID})
    assert await server.get(f"{KEY}:call-a") is None
    await conversations.save({"call-a": SAID[:1]})
    assert await conversations.load("call-a") == SAID[:1]


async def test_what_is_no_conversation_is_none(conversations: Conversations, server: redis.Redis) -> None:
    await server.set(f"{KEY}:call-a", "nonsense")
    assert await conversations.load("call-a") == ()


async def test_without_redis_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    nowhere = Conversations(f"unix://{tmp_path}/nobody.sock")
    await nowhere.save({"call-a": SAID})
    assert await nowhere.load("call-a") == ()
    await nowhere.aclose()


def test_a_wrong_address_is_said_without_showing_it() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL .hidden.") as error:
        patrol._in_redis(Settings(_env_file=None, redis_url="http://user:secret@somewhere"))
    assert "secret" not in str(error.value)
