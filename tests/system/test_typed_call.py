"""A caller joins and types; the answer is heard."""

import jiwer

from tests.system.conftest import plain
from worker.bench.scripted_llm import deltas_of

ANSWER = (
    "Thank you for your message. The museum is open every day from nine in the morning until five in the evening. "
    "On Sundays children can visit the garden behind the house for free."
)
MAX_WER = 0.2


async def test_the_greeting_is_heard_and_says_that_it_is_an_ai(stack, judge) -> None:
    from worker.bench.caller import calling

    async with calling(stack.http_url) as caller:
        first_s = await caller.greeted()
        heard = judge.words(caller.hearing.samples(first_s - 0.2))
        assert "ai" in heard.replace("a i", "ai").split(), heard
        assert "AI" in caller.agent_text[0]


async def test_what_is_heard_is_what_the_model_said(stack, caller, judge) -> None:
    stack.scripted.answer(ANSWER)
    sent_s = await caller.type("When is the museum open?")
    first_s = await caller.heard_after(sent_s)
    await caller.over(first_s)
    heard = judge.words(caller.hearing.samples(first_s - 0.2))
    assert jiwer.wer(plain(ANSWER), heard) <= MAX_WER, heard


async def test_the_typed_text_reaches_the_model(stack, caller) -> None:
    sent_s = await caller.type("When is the museum open?")
    await caller.heard_after(sent_s)
    assert stack.scripted.requests[-1].user_text == "When is the museum open?"


async def test_the_first_sound_comes_before_the_models_last_delta(stack, caller) -> None:
    stack.scripted.answer(ANSWER, tokens_per_s=15)
    sent_s = await caller.type("When is the museum open?")
    first_s = await caller.heard_after(sent_s)
    (request,) = stack.scripted.asked("museum")
    await caller.until(lambda: request.finished, "the model had said everything", deadline_s=len(deltas_of(ANSWER)) / 5)
    assert first_s < request.last_delta_s


async def test_the_answer_is_transcribed_for_the_caller(stack, caller) -> None:
    stack.scripted.answer("The gate is open.")
    await caller.type("Is the gate open?")
    await caller.until(
        lambda: caller.agent_text[-1] == "The gate is open.", "the answer was transcribed", deadline_s=15
    )


async def test_the_agent_tells_the_numbers_of_the_turn(stack, caller) -> None:
    sent_s = await caller.type("Is the gate open?")
    turn = await caller.over(await caller.heard_after(sent_s))
    assert {"llm_first", "voice_first", "speaking"} <= turn.stamps.keys()
    assert not turn.interrupted
