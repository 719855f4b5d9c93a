"""How wrong a recogniser heard a text."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.verify.sentences import COUNT, language_of, sentences_in
from worker.verify.word_errors import plain_words, unheard_end, word_errors

some_words = st.lists(st.sampled_from(["a", "red", "house", "stood", "there"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("That is a very good question.", "that is a very good question"),
        ("No, I can't!", "No I can’t"),
        ("A well-known song.", "a well known song"),
        ("It opens at nine.", "It opens at 9."),
        ("Okay, Mr. Smith.", "OK, Mister Smith"),
    ],
)
def test_how_a_word_is_written_does_not_count(said: str, heard: str) -> None:
    assert word_errors(said, heard).errors == 0


def test_wrong_missing_and_added_words_count_one_each() -> None:
    assert word_errors("the cat sat down", "the dog sat down") == (1, 4)
    assert word_errors("the cat sat down", "the cat sat") == (1, 4)
    assert word_errors("the cat sat down", "the big cat sat down") == (1, 4)
    assert word_errors("the cat sat down", "").rate == 1.0


@given(some_words, some_words)
def test_it_counts_as_jiwer_does(said: list[str], heard: list[str]) -> None:
    assert word_errors(" ".join(said), " ".join(heard)).rate == pytest.approx(
        jiwer.wer(" ".join(said), " ".join(heard))
    )


def test_words_that_were_cut_off_at_the_end_are_counted() -> None:
    said = "We walked along the river until it was dark."
    assert unheard_end(said, said) == 0
    assert unheard_end(said, "we walked along the river until it was") == 1
    assert unheard_end(said, "we walked along the river") == 4
    assert unheard_end(said, "") == 9


def test_one_word_heard_as_two_is_not_a_missing_end() -> None:
    assert unheard_end("I will send the bill within a week", "I will send the bill with in a week") == 0


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_the_sentences_are_twenty_different_ones_without_a_number(language: str) -> None:
    sentences = sentences_in(language)
    assert len(set(sentences)) == COUNT
    assert not [text for text in sentences if any(character.isdigit() for character in text)]
    assert all(len(plain_words(text)) > 3 for text in sentences)


def test_a_voice_is_judged_in_its_own_language_and_else_in_english() -> None:
    assert [language_of(own) for own in ("en", "en-GB", "de", "fr", "es", "ja", "und")] == [
        *("en", "en", "de", "fr", "es", "en", "en")
    ]
