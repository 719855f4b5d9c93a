"""A call outlives its parts and its caller's manners: floods, giant messages, a recogniser that dies."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request

import pytest

from worker.bench.caller import Caller
from worker.bench.scripted_llm import Reply
from worker.bench.speech import speak

SECRET = "xyzzyplugh"
PROMISE_S = 3.0


def listen_for_notices(caller: Caller) -> list[dict[str, str]]:
    notices: list[dict[str, str]] = []

    async def read(reader) -> None:
        notices.append(json.loads(await reader.read_all()))

    caller._room.register_text_stream_handler("tts-ops.notice", lambda reader, _: caller._start(read(reader), "notice"))
    return notices


async def told(caller: Caller, notices: list[dict[str, str]], code: str, deadline_s: float) -> dict[str, str]:
    return await caller.until(
        lambda: next((n for n in notices if n["code"] == code), None),
        f"the page was told {code}",
        deadline_s=deadline_s,
    )


async def answers(stack, caller: Caller, words: str) -> None:
    stack.scripted.answer(words)
    await caller.type("Is the gate open?")
    await caller.until(lambda: words in caller.agent_text, "the next turn was answered", deadline_s=20)


async def test_a_model_that_never_answers_is_bridged_and_apologised_for(stack, caller) -> None:
    stack.scripted.script = lambda _: Reply(ttft_s=60)
    sent_s = await caller.type("Is the gate open?")
    first_s = await caller.heard_after(sent_s)
    print(f"filler after {first_s - sent_s:.2f} s")
    assert first_s - sent_s <= PROMISE_S
    await caller.until(
        lambda: any("something went wrong" in text for text in caller.agent_text), "it apologised", deadline_s=15
    )
    await caller.quiet()
    await answers(stack, caller, "The gate is open.")


async def test_a_flood_of_texts_and_a_giant_one_do_not_disturb_the_call(stack, caller) -> None:
    notices = listen_for_notices(caller)
    me = caller._room.local_participant
    await me.send_text(SECRET * 400_000, topic="lk.chat")  # 4 MB
    assert (await told(caller, notices, "text_too_long", 20))["message"].endswith("2000 characters are allowed.")
    lags = asyncio.create_task(watch_ticks(stack))
    for n in range(1000):
        await me.publish_data(f"{SECRET} {n}".encode(), topic="anything")
        if n % 4 == 0:
            await me.send_text(f"{SECRET} {n}", topic=f"{SECRET}-topic")
            await me.send_text(f"{SECRET} {n}", topic="lk.chat")
        await asyncio.sleep(0.001)
    await told(caller, notices, "too_fast", 10)
    lags.cancel()
    await asyncio.gather(lags, return_exceptions=True)
    await asyncio.sleep(3)  # until its texts count as slow again
    await caller.quiet()
    await answers(stack, caller, "The gate is open.")
    assert SECRET not in stack.stack.log_path.read_text(errors="replace")
    assert len(stack.scripted.requests) < 60


async def watch_ticks(stack) -> None:
    while True:
        for job in (await asyncio.to_thread(stack.fleet))["jobs"]:
            assert job["tick_age_s"] < 2.0
        await asyncio.sleep(0.2)


def release(worker_url: str, room: str, action: str) -> int:
    """What the watcher asks of a worker; the status of the answer."""
    body = json.dumps({"room": room, "action": action}).encode()
    request = urllib.request.Request(f"{worker_url}/fleet/release", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return int(answer.status)


async def test_a_call_that_nobody_can_go_on_with_ends_with_a_goodbye(stack, caller) -> None:
    room = stack.fleet()["jobs"][0]["room"]
    asked_s = time.monotonic()
    assert await asyncio.to_thread(release, stack.worker_url, room, "goodbye") in (200, 202, 204)
    await caller.heard_after(asked_s, deadline_s=5)
    deadline_s = time.monotonic() + 15
    while caller.ended is None:
        assert time.monotonic() < deadline_s, "the room was not closed"
        await asyncio.sleep(0.05)
    assert any("I have to end this call" in text for text in caller.agent_text)


async def test_an_agent_that_is_released_leaves_the_room_to_its_successor(stack, caller) -> None:
    first = (await caller.agent()).identity
    room = stack.fleet()["jobs"][0]["room"]
    released_s = time.monotonic()
    assert await asyncio.to_thread(release, stack.worker_url, room, "release") in (200, 202, 204)

    def successor() -> str | None:
        agent = caller._agent()
        return agent.identity if agent is not None and agent.identity != first else None

    await caller.until(successor, "another agent came", deadline_s=20)
    heard_s = await caller.heard_after(released_s + 0.2, deadline_s=20)
    print(f"released: the next agent speaks after {heard_s - released_s:.2f} s")
    await caller.until(lambda: any("cut off" in text for text in caller.agent_text), "it said why", deadline_s=10)
    await caller.quiet()
    await answers(stack, caller, "The gate is open.")


async def test_a_turn_goes_on_with_the_words_that_are_there_when_the_final_ones_do_not_come(stack, caller) -> None:
    question = await speak(stack.http_url, "Can you tell me when the library opens in the morning, please?")
    (models,) = [p for p in stack.stack.processes() if p.cmdline()[-1:] == ["models"]]
    stack.scripted.answer("It opens at nine.")
    saying = asyncio.ensure_future(caller.say(question.pcm))
    try:
        await caller.until(lambda: "library" in " ".join(caller.own_text).lower(), "it was understood", deadline_s=15)
        models.send_signal(signal.SIGSTOP)
        said = await saying
        first_s = await caller.heard_after(said.last_s, deadline_s=15)
        print(f"without final words: answered after {first_s - said.last_s:.2f} s")
        assert "library" in stack.scripted.requests[-1].user_text.lower()
    finally:
        models.send_signal(signal.SIGCONT)
    await caller.quiet(for_s=3.0)
    assert caller.agent_text.count("It opens at nine.") == 1  # late final words are no second turn


@pytest.mark.timeout(150, method="signal")
async def test_when_the_recogniser_dies_the_caller_is_told_and_typing_works(stack, caller) -> None:
    notices = listen_for_notices(caller)
    (models,) = [p for p in stack.stack.processes() if p.cmdline()[-1:] == ["models"]]
    models.send_signal(signal.SIGSTOP)  # a dead one would be started again before anybody noticed
    try:
        # The voice of this installation is not in that process: the caller can be told.
        frozen_s = time.monotonic()
        await told(caller, notices, "cannot_hear", 30)
        print(f"told after {time.monotonic() - frozen_s:.1f} s")
        await answers(stack, caller, "You can type.")
    finally:
        models.send_signal(signal.SIGCONT)
    await told(caller, notices, "hears_again", 60)
