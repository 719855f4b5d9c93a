"""Estimated word timings: in order, within the audio, never before their text was read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tts_plugin.engine.timing import WordClock

WORDS = st.lists(st.tuples(st.text(alphabet="abc", min_size=1, max_size=12), st.integers(0, 3)), max_size=30)


@given(WORDS, st.lists(st.floats(0.01, 2), max_size=30), st.floats(0, 20))
def test_words_are_in_order_and_within_the_audio_that_there_was(words, portions, more) -> None:
    clock, told, ids, audio = WordClock(5, 0.8), [], 0, 0.0
    for text, count in words:
        clock.add(text, 0, 1, ids)
        ids += count
    for portion in portions:
        audio += portion
        now = clock.passed(audio)
        assert all(word.end_s <= audio for word in now)
        told += now
    audio += more
    told += clock.rest(audio)
    edges = [edge for word in told for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert not edges or edges[-1] <= audio + 1e-9
    assert [word.text for word in told] == [text for text, _ in words]


def test_a_word_does_not_sound_before_its_text_window_is_read() -> None:
    clock = WordClock(5, 0.8)
    clock.add("late", 0, 4, 10)
    assert clock.passed(1.7) == ()
    (word,) = clock.passed(2.5)
    assert word.start_s == 1.6
