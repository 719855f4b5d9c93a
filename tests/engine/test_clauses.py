import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_plugin.engine.clauses import FIRST, LATER, Clauses, Piece
from tts_plugin.text import Normaliser

WORDS = st.lists(
    st.sampled_from(["cat", "the", "and", "3.14", "2,000", "e.g.", "Dr.", "stop.", "well,", "of", "why?", "\n"]),
    max_size=80,
).map(" ".join)  # fmt: skip


def cut(text: str) -> list[Piece]:
    normaliser, clauses = Normaliser(), Clauses()
    return clauses.feed(normaliser.feed(text) + normaliser.end()) + clauses.end()


def texts(text: str) -> list[str]:
    return [piece.text for piece in cut(text)]


@given(WORDS)
def test_every_word_is_said_once_and_in_order(text: str) -> None:
    normaliser = Normaliser()
    words = normaliser.feed(text) + normaliser.end()
    assert [word for piece in cut(text) for word in piece.words] == words


@given(WORDS)
def test_no_piece_is_longer_than_allowed(text: str) -> None:
    pieces = cut(text)
    assert all(len(piece.words) <= (LATER if n else FIRST).most for n, piece in enumerate(pieces))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Sure. I can help.", "Sure."),
        ("Well, yes, I think so, and it is true.", "Well, yes, I think so,"),
        ("The capital of France is Paris, as you know.", "The capital of France is Paris,"),
        ("one two three four five six seven eight nine ten", "one two three four five six"),
        ("I would go to the market when it opens tomorrow", "I would go to the market"),
        ("It costs about a sum of 5 million dollars", "It costs about a sum"),
        ("He saw the man who was the very best there", "He saw the man"),
    ],
)
def test_the_first_piece_is_the_first_clause_of_four_to_six_words(text: str, first: str) -> None:
    assert texts(text)[0] == first


def test_abbreviations_numbers_and_initials_do_not_end_a_sentence() -> None:
    text = "Hello there, my friend. Dr. Smith of the U.S. e.g. said 3.14 vs. 2,000 today. Yes."
    assert texts(text) == [
        "Hello there, my friend.",
        "Doctor Smith of the U.S. for example said three point one four versus two thousand today.",
        "Yes.",
    ]


def test_a_list_number_stays_with_its_item() -> None:
    assert texts("1. First thing\n2. Second thing") == ["one, First thing", "two, Second thing"]


def test_a_later_piece_runs_to_the_end_of_its_sentence() -> None:
    later = "It was a bright day, in April, and all of the clocks were striking thirteen."
    assert texts(f"Sure thing. Okay then. {later}")[-1] == later


def test_after_a_very_short_first_piece_the_next_one_is_early_too() -> None:
    assert texts("Sure. That is a good question, and here is what I know about it.")[1] == "That is a good question,"


def test_the_first_piece_comes_before_the_text_is_complete() -> None:
    normaliser, clauses = Normaliser(), Clauses()
    assert clauses.feed(normaliser.feed("I am glad you asked, ")) != []


def test_take_now_gives_what_is_there() -> None:
    normaliser, clauses = Normaliser(), Clauses()
    clauses.feed(normaliser.feed("I think "))
    assert [(piece.text, piece.ending) for piece in clauses.take_now()] == [("I think", "cut")]
    assert clauses.take_now() == []
