"""Two copies of the service and a real redis: what one of them knows, the other knows too. Without redis both go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from http_parts import Engine, Service, Start, settings_for_test
from redis.asyncio import from_url

from worker.api import at_once, shared_answers
from worker.api.at_once import AtOnce
from worker.api.errors import ApiError
from worker.api.shared import Shared
from worker.api.shared_answers import SharedAnswers, _kept
from worker.api.shared_turns import SharedTurns
from worker.bench.scripted_llm import ScriptedLlm
from worker.keys import KeyFile

HELLO = "Hello, this is a short sentence."


@pytest.fixture
async def shared(redis_url: str) -> AsyncIterator[Callable[[], Shared]]:
    """One copy's connection for each call."""
    made: list[Shared] = []

    def one() -> Shared:
        made.append(Shared(settings_for_test(redis_url=redis_url)))
        return made[-1]

    yield one
    for each in made:
        await each.aclose()


async def copies(start: Start, tmp_path: Path, **values: Any) -> tuple[Service, Service, dict[str, str]]:
    keys = KeyFile(tmp_path / "api-keys.json")
    values |= {"api_keys_file": keys.path, "open_on_loopback": False}
    bearer = {"Authorization": f"Bearer {keys.add('shop')[1]}"}
    return await start(**values), await start(**values), bearer


async def test_an_answer_is_given_again_by_the_other_copy(
    start: Start, engine: Engine, redis_url: str, tmp_path: Path
) -> None:
    one, other, bearer = await copies(start, tmp_path, engine_url=engine.url, redis_url=redis_url)
    headers = bearer | {"Idempotency-Key": "a-key"}
    async with one.client.post("/synthesize", json={"text": HELLO}, headers=headers) as response:
        first = await response.read()
    admitted = engine.backend.statistics().admitted_total
    async with other.client.post("/synthesize", json={"text": HELLO}, headers=headers) as response:
        assert response.headers["Idempotency-Replayed"] == "true"
        assert (await response.read(), response.content_type) == (first, "audio/wav")
    assert engine.backend.statistics().admitted_total == admitted
    async with other.client.post("/synthesize", json={"text": "Another."}, headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (422, "key_reused")


async def test_a_conversation_and_a_link_are_known_to_the_other_copy(
    start: Start, engine: Engine, scripted: ScriptedLlm, redis_url: str, tmp_path: Path
) -> None:
    scripted.answer("The library opens at nine.")
    values = {"engine_url": engine.url, "openai_base_url": scripted.url, "redis_url": redis_url}
    one, other, bearer = await copies(start, tmp_path, **values)
    asked = {"text": "When?", "format": "json", "audio_as": "url", "conversation_id": "a-conversation"}
    async with one.client.post("/chat", json=asked, headers=bearer) as response:
        url = (await response.json())["audio_url"]
    async with other.client.get(url, headers=bearer) as response:
        assert (response.status, response.content_type) == (200, "audio/wav")
    async with other.client.post("/chat", json=asked | {"text": "And then?"}, headers=bearer) as response:
        assert response.status == 200
    said = [message["content"] for message in scripted.requests[-1].messages[1:]]
    assert said == ["When?", "The library opens at nine.", "And then?"]


async def test_what_is_made_by_one_copy_is_not_made_by_another(shared: Callable[[], Shared]) -> None:
    one, other = SharedAnswers(shared()), SharedAnswers(shared())
    assert await one.begin("shop a", "asked") is None
    with pytest.raises(ApiError, match="still being answered"):
        await other.begin("shop a", "asked")
    await one.forget("shop a")
    assert await other.begin("shop a", "asked") is None
    other.close()
    one.close()


async def test_a_copy_that_dies_leaves_no_claim(shared: Callable[[], Shared], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_answers, "CLAIM_S", 0.1)
    one, other = SharedAnswers(shared()), SharedAnswers(shared())
    assert await one.begin("shop a", "asked") is None
    one.close()  # says nothing to redis, as one that was killed
    await asyncio.sleep(0.2)
    assert await other.begin("shop a", "asked") is None
    other.close()


async def test_redis_keeps_no_more_than_its_share(shared: Callable[[], Shared], redis_url: str) -> None:
    one = SharedAnswers(shared(), max_bytes=2_500)
    for number in range(5):
        await one.begin(f"shop {number}", "asked")
        (await one.keep(f"shop {number}", _kept(b"audio/wav", bytes(1_000)))).sound.close()
    other = SharedAnswers(shared())
    assert [await other.find(f"shop {number}") is not None for number in range(5)] == [False, False, False, True, True]
    turns = SharedTurns(shared(), most=3)
    for number in range(6):
        for turn in range(25):
            await turns.add(f"conversation {number}", f"question {turn}", "answer")
    said = [await turns.said(f"conversation {number}") for number in range(6)]
    assert [len(messages) for messages in said] == [0, 0, 0, 40, 40, 40]
    assert said[5][0].text == "question 5"
    redis = from_url(redis_url)
    names = await redis.keys("*")
    assert min([await redis.pttl(name) for name in names]) > 0, names  # all of it goes by itself
    assert not [name for name in names if b"shop" in name or b"conversation" in name]
    await redis.aclose()
    one.close()
    other.close()


async def test_at_once_is_counted_over_both_copies(
    shared: Callable[[], Shared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "RENEW_S", 0.05)
    monkeypatch.setattr(at_once, "ASK_S", 2.0)
    one, other = AtOnce(2, shared()), AtOnce(2, shared())
    leases = [await one.enter("shop"), await other.enter("shop")]
    assert all(leases)
    assert await one.enter("shop") is None
    assert await other.enter("bank")
    one.leave("shop", str(leases[0]))
    async with asyncio.timeout(10):
        while await other.enter("shop") is None:
            await asyncio.sleep(0.02)
    await one.aclose()
    await other.aclose()


async def test_places_of_a_copy_that_died_come_free(
    shared: Callable[[], Shared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "LEASE_S", 0.2)
    monkeypatch.setattr(at_once, "ASK_S", 2.0)
    dead, other = AtOnce(1, shared()), AtOnce(1, shared())
    assert await dead.enter("shop")
    async with asyncio.timeout(10):
        while await other.enter("shop") is None:
            await asyncio.sleep(0.02)
    await dead.aclose()
    await other.aclose()


async def test_a_redis_that_is_away_stops_nothing(tmp_path: Path) -> None:
    alone = Shared(settings_for_test(redis_url=f"unix://{tmp_path}/nobody.sock"))
    turns, answers, entering = SharedTurns(alone), SharedAnswers(alone), AtOnce(1, alone)
    await turns.add("a", "question", "answer")
    assert [message.text for message in await turns.said("a")] == ["question", "answer"]
    assert await answers.begin("shop a", "asked") is None
    (await answers.keep("shop a", _kept(b"audio/wav", b"sound"))).sound.close()
    again = await answers.begin("shop a", "asked")
    assert again is not None
    again.sound.close()
    lease = await entering.enter("shop")
    assert lease is not None
    assert await entering.enter("shop") is None
    entering.leave("shop", lease)
    answers.close()
    await entering.aclose()
    await alone.aclose()
