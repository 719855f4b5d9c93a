"""The history on its way to a call's next agent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.handover import MAX_BYTES, MAX_TURN_CHARS, MAX_TURNS, Handover, Turn, decode, encode

TURNS = st.builds(Turn, st.sampled_from(["user", "assistant"]), st.text(), st.booleans())


@given(st.lists(TURNS, max_size=MAX_TURNS))
def test_what_fits_arrives_as_it_was(turns: list[Turn]) -> None:
    assert decode(encode(turns, "job_lost")) == Handover(tuple(turns), "job_lost")


@given(st.lists(TURNS, max_size=60), st.sampled_from(["\U0001f600", "ä", '"', "\ud800", "x"]), st.integers(0, 5_000))
def test_it_is_never_too_long_and_the_newest_are_kept(turns: list[Turn], char: str, length: int) -> None:
    turns = [*turns, *[Turn("user", char * length)] * 5, Turn("assistant", "the newest")]
    metadata = encode(turns, "drain")
    assert len(metadata.encode()) <= MAX_BYTES
    handover = decode(metadata)
    assert handover is not None
    cut = [Turn(t.role, t.text[:MAX_TURN_CHARS], t.interrupted) for t in turns]
    assert handover.turns
    assert list(handover.turns) == cut[-len(handover.turns) :]


@pytest.mark.parametrize(
    "metadata",
    [
        *("", "{}", "null", "[]", "hello", "[" * 50_000, "1" * 99_999),
        '{"format":"tts-ops.handover.1","reason":"other","turns":[]}',
    ],
)
def test_foreign_metadata_is_no_handover(metadata: str) -> None:
    assert decode(metadata) is None


def test_what_is_not_a_turn_is_left_out() -> None:
    turns = '[1,{"role":"system","text":"x"},{"role":"user"},{"role":"user","text":"hi","interrupted":1}]'
    assert decode(f'{{"format":"tts-ops.handover.1","reason":"drain","turns":{turns}}}') == Handover(
        (Turn("user", "hi"),), "drain"
    )
