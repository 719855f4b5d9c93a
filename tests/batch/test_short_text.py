"""The guard of texts of three words or fewer, as a table: what is held back, made anew, let go."""

from __future__ import annotations

import pytest

from tts_plugin.engine.short_text import ShortText, other_seed

LATENT_S = 3_200 / 24_000


def guard() -> ShortText:
    """ "Of course." needs 0.6 s."""
    return ShortText(2, 9, LATENT_S)


def test_half_to_three_times_what_the_words_need_is_allowed() -> None:
    assert (guard().least, guard().most) == (3, 21)


def test_a_word_of_one_letter_has_a_length_too() -> None:
    assert (ShortText(1, 1, LATENT_S).least, ShortText(1, 1, LATENT_S).most) == (1, 14)


@pytest.mark.parametrize(
    ("latents", "loud", "over", "verdict"),
    [
        (1, True, False, "hold"),
        (2, True, False, "hold"),
        (3, True, False, "speak"),
        (3, True, True, "speak"),
        (2, True, True, "again"),  # the model says that it is done before it can be
        (0, False, True, "again"),
        (3, False, False, "hold"),  # it may still begin
        (7, False, False, "again"),  # silence
        (7, True, False, "speak"),
    ],
)
def test_what_happens_to_what_was_made(latents: int, loud: bool, over: bool, verdict: str) -> None:
    assert guard().judge(latents, loud=loud, over=over) == verdict


def test_the_second_attempt_is_spoken_whatever_it_is() -> None:
    twice = guard()
    assert twice.judge(1, loud=False, over=True) == "again"
    assert twice.judge(1, loud=False, over=True) == "speak"


def test_the_second_seed_is_another_and_always_the_same() -> None:
    assert other_seed(7) == other_seed(7) != 7
