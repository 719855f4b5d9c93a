"""The normaliser gives the same words however the text came, early, in linear time, each with its place in the text."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speaking import said, words_of

from tts_plugin.text import LANGUAGES, Normaliser

PARTS = [
    *("²", "20", "5", "3.", "٣", "code", "1", "26", "1,234", "12.50", "2,50", "000", "555", "4567", "2026", "½", "1/2"),
    *("-", "–", "+1", "(555)", "$", "€", "$5", "5€", "M€", "EUR", "million", "millions", "Mio.", "mil", "%", "km"),
    *("°C", "x"),
    *("=", "pm", "p.m.", "Uhr", "March", "Mar", "ma", "März", "mars", "marzo", "de", "févr.", "fe\u0301vr.", "Sept."),
    *("No.", "Dr.", "St.", "Main", "I", "word", " ", " ", " ", " ", "\n", "\u00a0", ",", ".", ")", "**", "<br>", "👍"),
    *("&#109;illion", "&amp;", "](x)", "[", "_", "~", "\\", "a@b.com", "https://x.org/a", "v1.2", "10:30", "5:00"),
    *("1st", "1er", "日本語", "y" * 40, "'", '"'),
]  # fmt: skip
NASTIES = [
    *("1", "1 ", "$5 ", "555 ", "a.b", "a-", "1,000", "-", "( ", "((", "*", "_a", "@", "a@", "http://a", "&", "<"),
    *("<a ", "\"'", "No. ", "1/", "1.1.", "A1", "aA", "20 M", "+1 ", "…", "a…b", "é", "\u0301", "\\", "[](", "5–"),
]  # fmt: skip
MIXED = st.lists(st.sampled_from(PARTS), max_size=25).map("".join)
SPACED = st.lists(st.sampled_from([part for part in PARTS if part.strip()]), max_size=12).map(" ".join)
TEXTS = st.one_of(MIXED, SPACED)
LOCALES = st.sampled_from(LANGUAGES)


@settings(max_examples=400, deadline=None)
@given(TEXTS, LOCALES, st.data())
def test_every_split_gives_the_same_words(text: str, language: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    deltas = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert words_of(deltas, language) == words_of([text], language)


@settings(max_examples=300, deadline=None)
@given(TEXTS, LOCALES)
def test_letter_by_letter_gives_the_same_words(text: str, language: str) -> None:
    assert words_of(text, language) == words_of([text], language)


@settings(max_examples=300, deadline=None)
@given(TEXTS, LOCALES)
def test_nothing_written_in_figures_or_signs_is_left(text: str, language: str) -> None:
    spoken = said(text, language)
    assert not set(spoken) & set("0123456789$€£%=+<>@&#*_~|{}\\")


@settings(max_examples=300, deadline=None)
@given(TEXTS, LOCALES)
def test_spans_lie_end_to_end(text: str, language: str) -> None:
    at = 0
    for word in words_of([text], language):
        assert (word.start, word.end >= word.start) == (at, True)
        at = word.end
    assert at <= len(text)


def test_the_span_of_what_is_said_in_several_words_is_what_was_written() -> None:
    text = "It costs $1,234.50 today"
    words = words_of([text])
    at = [n for n, word in enumerate(words) if word.text in ("one", "cents")]
    assert text[words[at[0]].start : words[at[-1]].end] == " $1,234.50"


def given_after(*deltas: str, language: str | None = None) -> str:
    """What is certain before the end."""
    normaliser = Normaliser(language)
    return " ".join(word.text for delta in deltas for word in normaliser.feed(delta))


@pytest.mark.parametrize(
    ("so_far", "certain"),
    [
        ("I have 20", "I have"),
        ("I have 20 ", "I have"),
        ("I have 20 p", "I have twenty"),
        ("on 20 M", "on"),  # March?
        ("on 20 Mi", "on"),  # million?
        ("on 20 Mo", "on twenty"),
        ("for $5 ", "for"),
        ("for $5 m", "for"),  # million?
        ("for $5 me", "for five dollars"),
        ("for $5, ", "for five dollars,"),
        ("for $5.", "for"),
        ("in March ", "in March"),
        ("at 5:00 ", "at"),
        ("at 5:00 s", "at five o'clock"),
        ("5 km ", "five kilometers"),
        ("No. ", ""),
        ("No. I", "No."),
        ("Dr. S", "Doctor"),
        ("hello ", "hello"),
        ("call 555 123 ", "call"),
    ],
)
def test_only_what_is_undecided_waits(so_far: str, certain: str) -> None:
    assert given_after(so_far) == certain


def test_plain_words_never_wait_for_the_next_word() -> None:
    text = "The quick brown fox jumps over the lazy dog and then it sleeps"
    normaliser = Normaliser()
    for word in text.split():
        assert [spoken.text for spoken in normaliser.feed(word + " ")] == [word]


def test_japanese_is_given_every_32_letters_and_at_every_full_stop() -> None:
    assert given_after("あ" * 33) == "あ" * 32
    assert given_after("日本。東京") == "日本。"


def test_a_held_sentence_end_can_be_taken_when_the_text_pauses() -> None:
    normaliser = Normaliser()
    assert normaliser.feed("No. ") == []
    assert [word.text for word in normaliser.take_sentence_end()] == ["No."]


def test_a_held_number_is_not_taken_when_the_text_pauses() -> None:
    normaliser = Normaliser()
    normaliser.feed("It is 20 ")
    assert normaliser.take_sentence_end() == []


@pytest.mark.parametrize(("split", "most"), [(False, 100_000), (True, 30_000)], ids=["at once", "letter by letter"])
@pytest.mark.parametrize("unit", NASTIES)
def test_100_000_characters_of_anything_take_linear_time(unit: str, split: bool, most: int) -> None:
    def seconds(count: int) -> float:
        text = (unit * count)[:count]
        started = time.thread_time()
        words_of(text if split else [text])
        return time.thread_time() - started

    words_of([unit])
    assert seconds(most) < 8 * most / 10_000 * max(
        seconds(10_000), 0.05
    )  # squared would be 3 to 10 times as much again
