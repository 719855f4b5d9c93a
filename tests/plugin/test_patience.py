"""When an engine counts as stuck: only while it owes audio."""

from __future__ import annotations

import pytest

from tts_plugin.patience import ENOUGH_CHARS, Patience


@pytest.fixture
def patience() -> Patience:
    return Patience(first_audio_s=10.0, stall_s=3.0)


def test_nothing_is_owed_before_there_is_text(patience: Patience) -> None:
    assert patience.deadline_s is None


def test_a_few_words_of_an_open_text_are_not_owed_yet(patience: Patience) -> None:
    patience.text(12, now_s=100.0)
    assert patience.deadline_s is None


def test_the_first_audio_is_due_from_the_end_of_the_text(patience: Patience) -> None:
    patience.text(12, now_s=100.0)
    patience.end(now_s=150.0)
    assert patience.deadline_s == 160.0


def test_much_open_text_is_owed_since_it_became_much(patience: Patience) -> None:
    patience.text(ENOUGH_CHARS, now_s=100.0)
    patience.text(ENOUGH_CHARS + 50, now_s=104.0)
    assert patience.deadline_s == 110.0


def test_between_chunks_the_listener_first_runs_dry(patience: Patience) -> None:
    patience.end(now_s=100.0)
    patience.audio(8.0, now_s=101.0)
    patience.audio(1.0, now_s=101.5)
    assert patience.deadline_s == 101.0 + 9.0 + 3.0


def test_a_pause_of_the_writer_is_never_the_engines_fault(patience: Patience) -> None:
    patience.text(30, now_s=100.0)
    patience.audio(1.0, now_s=101.0)
    patience.words(0, now_s=101.0)
    assert patience.deadline_s is None


def test_speech_that_stops_with_much_text_in_hand_is_late(patience: Patience) -> None:
    patience.text(ENOUGH_CHARS + 100, now_s=100.0)
    patience.audio(1.0, now_s=101.0)
    patience.words(ENOUGH_CHARS, now_s=101.0)
    assert patience.deadline_s == 105.0


def test_an_engine_without_word_timings_is_held_only_by_the_end_of_the_text(patience: Patience) -> None:
    patience.text(ENOUGH_CHARS, now_s=100.0)
    patience.audio(1.0, now_s=101.0)
    assert patience.deadline_s is None
    patience.text(ENOUGH_CHARS + 500, now_s=102.0)
    assert patience.deadline_s is None
    patience.end(now_s=103.0)
    assert patience.deadline_s == 106.0


def test_text_after_a_long_pause_starts_a_new_wait(patience: Patience) -> None:
    patience.text(10, now_s=100.0)
    patience.audio(1.0, now_s=101.0)
    patience.words(0, now_s=101.0)
    patience.end(now_s=160.0)
    assert patience.deadline_s == 163.0
