"""A caller speaks; the agent understands and answers."""

import pytest

from worker.bench.speech import Speech, speak

QUESTION = "What is the capital of France?"


@pytest.fixture
async def question(stack) -> Speech:
    return await speak(stack.http_url, QUESTION)


async def test_the_spoken_question_is_in_the_agents_transcript(caller, question) -> None:
    await caller.say(question.pcm)
    await caller.until(
        lambda: "capital of france" in " ".join(caller.own_text).lower(), "the question was understood", deadline_s=15
    )


async def test_the_spoken_question_reaches_the_model_once_the_turn_is_over(stack, caller, question) -> None:
    said = await caller.say(question.pcm)
    await caller.heard_after(said.last_s)
    assert "capital of france" in stack.scripted.requests[-1].user_text.lower()


async def test_a_spoken_question_gets_an_audible_answer(stack, caller, question, judge) -> None:
    stack.scripted.answer("Paris is the capital, and it lies on a river.")
    said = await caller.say(question.pcm)
    first_s = await caller.heard_after(said.last_s)
    await caller.over(first_s)
    assert "paris" in judge.words(caller.hearing.samples(first_s - 0.2))


async def test_the_agent_is_not_audible_while_the_caller_speaks(caller, question) -> None:
    said = await caller.say(question.pcm)
    await caller.heard_after(said.last_s)
    assert caller.hearing.audible_s(said.first_s, said.last_s) == 0


async def test_nothing_that_was_said_stands_in_the_log(stack, caller, question) -> None:
    stack.scripted.answer("Paris is the capital, and it lies on a river.")
    said = await caller.say(question.pcm)
    await caller.over(await caller.heard_after(said.last_s))
    await caller.hang_up()
    log = stack.stack.log_path.read_text().lower()
    assert "ready" in log
    assert "capital of france" not in log
    assert "lies on a river" not in log
