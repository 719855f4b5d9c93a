"""The caller interrupts: the agent falls silent, listens, and remembers only what was heard."""

import asyncio

import pytest

from worker.bench.scripted import LONG, SOUNDING_S
from worker.bench.scripted_llm import Reply, text_of
from worker.bench.speech import Speech, speak

SILENT_BY_VOICE_S = 1.2  # the product's target is 0.35 s; this is the limit on a busy machine
SILENT_BY_HAND_S = 0.6
AFTERWARDS = Reply("Very well, the garden is closed today.", ttft_s=1.2)


@pytest.fixture
async def interruption(stack) -> Speech:
    return await speak(stack.http_url, "Please wait, is the garden open today?")


async def speaking(stack, caller) -> float:
    """The agent is in the middle of a long answer; when it became audible."""
    import time

    stack.scripted.script = lambda _: LONG
    sent_s = await caller.type("Tell me a long story.")
    first_s = await caller.heard_after(sent_s)
    stack.scripted.script = lambda _: AFTERWARDS
    await caller.until(
        lambda: time.monotonic() > first_s + 2 and time.monotonic() - (caller.hearing.last_audible() or 0) < SOUNDING_S,
        "the agent was in the middle of its answer",
        deadline_s=10,
    )
    return first_s


async def test_a_voice_silences_the_agent(stack, caller, interruption) -> None:
    await speaking(stack, caller)
    said = await caller.say(interruption.pcm)
    assert await caller.end_of_sound(said.first_s) - said.first_s <= SILENT_BY_VOICE_S


async def test_typed_text_silences_the_agent(stack, caller) -> None:
    await speaking(stack, caller)
    sent_s = await caller.type("Is the garden open?")
    assert await caller.end_of_sound(sent_s) - sent_s <= SILENT_BY_HAND_S


async def test_the_button_silences_the_agent_and_it_listens(stack, caller) -> None:
    await speaking(stack, caller)
    pressed_s = await caller.interrupt()
    assert await caller.end_of_sound(pressed_s) - pressed_s <= SILENT_BY_HAND_S
    await caller.until(lambda: caller.agent_state == "listening", "the agent listened", deadline_s=5)


async def test_the_interruption_is_answered(stack, caller, interruption, judge) -> None:
    await speaking(stack, caller)
    said = await caller.say(interruption.pcm)
    first_s = await caller.heard_after(said.last_s)
    await caller.over(first_s)
    assert "garden is closed" in judge.words(caller.hearing.samples(first_s - 0.2))


async def test_the_history_holds_only_what_was_heard(stack, caller, interruption, judge) -> None:
    first_s = await speaking(stack, caller)
    said = await caller.say(interruption.pcm)
    await caller.heard_after(said.last_s)
    ended_s = await caller.end_of_sound(said.first_s)
    heard = judge.words(caller.hearing.samples(first_s - 0.2, ended_s + 0.1)).split()
    answers = [text_of(m) for m in stack.scripted.requests[-1].messages if m["role"] == "assistant"]
    remembered = answers[-1].strip()
    assert remembered
    assert LONG.text.startswith(remembered.rstrip(".… "))
    assert abs(len(remembered.split()) - len(heard)) <= 3, f"heard {heard}, remembered {remembered!r}"


async def test_the_interrupted_answer_is_marked_in_the_fleets_last_turns(stack, caller) -> None:
    await speaking(stack, caller)
    await caller.interrupt()
    turn = await asyncio.wait_for(_last_answer(stack), 10)
    assert turn["interrupted"] is True
    assert 0 < len(turn["text"]) < len(LONG.text)


async def test_the_model_is_not_listened_to_after_an_interruption(stack, caller) -> None:
    stack.scripted.answer("word " * 300, tokens_per_s=20)
    sent_s = await caller.type("Count with me.")
    await caller.heard_after(sent_s)
    await caller.interrupt()
    (request,) = stack.scripted.asked("count with me")
    await caller.until(lambda: request.abandoned, "the model's answer was dropped", deadline_s=3)


async def _last_answer(stack) -> dict:
    while True:
        (job,) = stack.fleet()["jobs"]
        if job["last_turns"] and job["last_turns"][-1]["text"].startswith(LONG.text[:10]):
            return job["last_turns"][-1]
        await asyncio.sleep(0.05)
