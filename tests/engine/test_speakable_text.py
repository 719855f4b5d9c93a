import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts_plugin.text import MAX_WORD_LETTERS, Normaliser, SpokenWord

ANY_TEXT = st.text(st.characters(), max_size=200)  # lone surrogates included
PARTS = [
    *(
        "<break time='1s'/>",
        "<",
        ">",
        "</p>",
        "**",
        "_",
        "`",
        "```",
        "\n",
        " ",
        "\r\n",
        "# ",
        "- ",
        "](http://a.bc)",
        "[",
    ),
    *("a b", "👩‍👩‍👧", "\u202e", "\ud800", "https://www.example.com/a?b=c", "3.14", "2,000", "e.g.", "…", "—", "&amp;"),
    *(
        "x" * 70,
        "1. ",
        "20 ",
        "$5",
        "million ",
        "March ",
        "3 ",
        "Mar",
        " 000",
        "12.50 ",
        "€",
        "pm.",
        "555 ",
        "No. ",
        "1/2 ",
        "|",
        "é",
        "e\u0301",
    ),
]
TRICKY = st.lists(st.sampled_from(PARTS), max_size=20).map("".join)


def words_of(text: str) -> list[SpokenWord]:
    normaliser = Normaliser()
    return normaliser.feed(text) + normaliser.end()


def spoken(text: str) -> str:
    return " ".join(word.text for word in words_of(text))


@settings(deadline=None)
@given(st.one_of(ANY_TEXT, TRICKY), st.data())
def test_every_split_into_deltas_gives_the_same_words(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    normaliser, words = Normaliser(), []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        words += normaliser.feed(text[start:end])
    assert words + normaliser.end() == words_of(text)


@settings(deadline=None)
@given(st.one_of(ANY_TEXT, TRICKY))
def test_the_spans_of_the_words_lie_end_to_end_from_the_start_of_the_source(text: str) -> None:
    at = 0
    for word in words_of(text):
        assert word.start == at
        assert word.end >= word.start
        at = word.end
    assert at <= len(text)


@settings(deadline=None)
@given(st.one_of(ANY_TEXT, TRICKY))
def test_no_word_holds_what_cannot_be_spoken(text: str) -> None:
    for word in words_of(text):
        assert word.text
        assert not any(c.isspace() or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") for c in word.text)


@settings(deadline=None)
@given(st.integers(33, 3_000))
def test_a_very_long_run_of_letters_is_split_and_no_letter_is_lost(count: int) -> None:
    words = words_of("x" * count)
    assert max(len(word.text) for word in words) <= MAX_WORD_LETTERS
    assert sum(len(word.text) for word in words) == count
    assert words[-1].end == count


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hello,   there.\tFriend", "Hello, there. Friend"),
        ("**bold** _soft_ ~~gone~~ `code`", "bold soft gone code"),
        ("# Title\n> quote\n- one\n* two", "Title quote one two"),
        ("See [the docs](https://a.example.com/x).", "See the docs."),
        ("Look at https://www.example.com/a/b?c=d#e, please", "Look at example dot com, please"),
        ("```python\nx = 1\n```", "x equals one"),
        ("<speak>Hi <break time='200ms'/>you</speak>", "Hi you"),
        ("a < b and c > d", "a less than b and c greater than d"),
        ("one<br>two", "one two"),
        ("Great 👍🏽 job 👩‍👩‍👧 🇫🇷 1️⃣!", "Great job one!"),
        ("a\u202eb\u202c c\u200bd\x00e", "ab cde"),
        ("lone \ud83d surrogate", "lone surrogate"),
        ("AT&amp;T &lt;3", "A-T and T less than three"),
        ("snake_case 3*4 20°C 50% $5", "snake case three times four twenty degrees Celsius fifty percent five dollars"),
        ("yes—no, well...maybe", "yes— no, well... maybe"),
        ("𝐇𝐞𝐥𝐥𝐨 ＡＢ cafe\u0301", "Hello AB café"),
        ("3.14 2,000 e.g. U.S. it's well-known", "three point one four two thousand for example U.S. it's well-known"),
        ("👍 -- *** ... \u200d", ""),
        ("", ""),
    ],
)
def test_text_is_made_speakable(written: str, said: str) -> None:
    assert spoken(written) == said


def test_a_span_holds_the_word_and_what_was_taken_away_before_it() -> None:
    text = "Hi **dear** 👍 friend"
    assert [text[word.start : word.end] for word in words_of(text)] == ["Hi", " **dear**", " 👍 friend"]


def test_a_word_is_given_as_soon_as_white_space_follows() -> None:
    normaliser = Normaliser()
    assert normaliser.feed("Hel") == []
    assert [word.text for word in normaliser.feed("lo there")] == ["Hello"]


def test_marks_that_stand_alone_become_pauses() -> None:
    pauses = [(word.text, word.pause) for word in words_of("one - two\nthree . four")]
    assert pauses == [("one", "none"), ("two", "clause"), ("three", "line"), ("four", "line")]


def test_a_tag_that_never_ends_is_spoken_as_text() -> None:
    assert spoken("<b " + "word " * 100).count("word") == 100


def test_a_sentence_end_can_be_taken_before_white_space_follows() -> None:
    normaliser = Normaliser()
    normaliser.feed("Sure thing.")
    assert [word.text for word in normaliser.take_sentence_end()] == ["thing."]


def test_a_number_that_may_go_on_is_not_taken_as_a_sentence_end() -> None:
    normaliser = Normaliser()
    normaliser.feed("It is 3.")
    assert normaliser.take_sentence_end() == []
