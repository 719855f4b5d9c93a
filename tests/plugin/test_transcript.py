"""Every character that was fed comes out once, in order, whatever spans an engine sends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tts_plugin.protocol import Word
from tts_plugin.transcript import Piece, Transcript

spans = st.tuples(st.integers(-5, 60), st.integers(-5, 60))
times = st.tuples(st.floats(0, 20), st.floats(0, 20))


@given(deltas=st.lists(st.text(max_size=15), max_size=6), words=st.lists(st.tuples(spans, times), max_size=12))
def test_the_pieces_joined_are_the_fed_text_whatever_the_spans(deltas: list[str], words: list) -> None:
    transcript = Transcript()
    pieces: list[Piece] = []
    for number, delta in enumerate(deltas):
        transcript.feed(delta)
        share = [w for index, w in enumerate(words) if index % len(deltas) == number]
        pieces += transcript.cut(Word("w", start, end, first, last) for (first, last), (start, end) in share)
    rest = transcript.rest(30.0)
    pieces += [rest] if rest else []
    assert "".join(piece.text for piece in pieces) == "".join(deltas)
    assert all(piece.text for piece in pieces)
    clock = [moment for piece in pieces for moment in (piece.start_s, piece.end_s)]
    assert clock == sorted(clock)


def test_the_gap_before_a_word_goes_with_that_word() -> None:
    transcript = Transcript()
    transcript.feed("Hello, dear world!")
    pieces = transcript.cut(
        [Word("Hello", 0.1, 0.4, 0, 5), Word("dear", 0.5, 0.7, 7, 11), Word("world", 0.7, 1, 12, 17)]
    )
    assert [piece.text for piece in pieces] == ["Hello", ", dear", " world"]
    assert transcript.rest(1.2) == Piece("!", 1, 1.2)


def test_two_words_of_one_span_give_its_characters_once() -> None:
    transcript = Transcript()
    transcript.feed("$5 now")
    pieces = transcript.cut([Word("five", 0, 0.3, 0, 2), Word("dollars", 0.3, 0.8, 0, 2), Word("now", 0.8, 1, 3, 6)])
    assert [piece.text for piece in pieces] == ["$5", " now"]


def test_unspoken_text_does_not_count_trailing_white_space() -> None:
    transcript = Transcript()
    transcript.feed("Hello \n ")
    assert transcript.unspoken_chars == 5
    transcript.cut([Word("Hello", 0, 1, 0, 5)])
    assert transcript.unspoken_chars <= 0
