"""Where a long text is cut; how much is kept of answers and conversations, and for how long, by a clock of ours."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.api.audio import Kept
from worker.api.conversations import KEEP_S as REMEMBER_S
from worker.api.conversations import MAX_TURNS, Conversations
from worker.api.errors import ApiError
from worker.api.idempotency import KEEP_S, Answers, owned
from worker.api.long_text import parts


@given(st.text(max_size=500), st.integers(10, 60))
def test_no_character_is_lost_and_no_part_is_too_long(text: str, most: int) -> None:
    cut = list(parts(text, most))
    assert "".join(cut) == text
    assert all(len(part) <= most for part in cut)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One two three. Four five six. Seven eight nine ten.", "One two three. Four five six. "),
        ("One two three four, five six seven eight nine ten.", "One two three four, "),
        ("One two.\n\nThree four\n\nfive. Six. Seven eight nine ten.", "One two.\n\nThree four\n\n"),
        ("a" * 60, "a" * 35),
    ],
)
def test_it_is_cut_where_a_reader_would_pause(text: str, first: str) -> None:
    assert next(parts(text, 35)) == first


def kept(size: int) -> Kept:
    sound = tempfile.SpooledTemporaryFile(max_size=1_000)  # noqa: SIM115
    sound.write(bytes(size))
    return Kept(sound, "audio/wav", size)


def answered(answers: Answers, key: str, size: int) -> None:
    assert answers.begin(key, "request") is None
    answers.keep(key, kept(size)).sound.close()


def test_an_answer_is_kept_for_ten_minutes() -> None:
    now = 0.0
    answers = Answers(clock=lambda: now)
    answered(answers, "a", 10)
    now = KEEP_S - 1
    again = answers.begin("a", "request")
    assert again is not None
    again.sound.seek(0)
    assert again.sound.read() == bytes(10)
    now = KEEP_S + 1
    assert answers.begin("a", "request") is None
    again.sound.seek(0)
    assert again.sound.read() == bytes(10)  # whoever reads it goes on


def test_no_more_bytes_are_kept_than_there_is_room_for() -> None:
    answers = Answers(max_bytes=5_000)
    for n in range(20):
        answered(answers, str(n), 2_000)
        assert answers.size <= 5_000
    assert answers.begin("0", "request") is None
    assert answers.begin("19", "request") is not None


def test_no_more_answers_are_kept_than_there_is_room_for() -> None:
    answers = Answers(max_answers=3)
    for n in range(10):
        answered(answers, str(n), 10)
    assert answers.size == 30


@pytest.mark.parametrize("key", ["", "a" * 256, "two words", "ä"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ApiError, match="Idempotency-Key"):
        owned(key, "anybody")


def test_a_conversation_forgets_its_oldest_turns() -> None:
    conversations = Conversations()
    for n in range(MAX_TURNS + 5):
        conversations.add("a", f"question {n}", f"answer {n}")
    said = conversations.said("a")
    assert len(said) == 2 * MAX_TURNS
    assert said[0].text == "question 5"


def test_a_conversation_is_forgotten_after_a_while() -> None:
    now = 0.0
    conversations = Conversations(clock=lambda: now)
    conversations.add("a", "question", "answer")
    now = REMEMBER_S - 1
    assert conversations.said("a")
    now = REMEMBER_S
    assert not conversations.said("a")


def test_the_conversation_that_was_not_used_for_longest_makes_room() -> None:
    conversations = Conversations(most=2)
    for id in ("a", "b", "a", "c"):
        conversations.add(id, "question", "answer")
    assert [id for id in "abc" if conversations.said(id)] == ["a", "c"]
