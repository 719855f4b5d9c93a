"""What a caller heard: first and last audible moments, and where the sound ends."""

import numpy as np
import pytest

from worker.bench.hearing import AUDIBLE_PEAK, Hearing

RATE_HZ = 24_000
LOUD = np.full(240, 3000, np.int16).tobytes()
FAINT = np.full(240, AUDIBLE_PEAK, np.int16).tobytes()


def heard(pattern: str) -> Hearing:
    """One frame of 10 ms per character, the first at 0.01 s: `#` loud, `-` just not audible."""
    hearing = Hearing(RATE_HZ)
    for i, kind in enumerate(pattern, 1):
        hearing.add(i / 100, LOUD if kind == "#" else FAINT)
    return hearing


def test_first_audible_is_the_first_above_one_percent_after_the_given_time() -> None:
    assert heard("--##--##").first_audible(0.045) == 0.07


def test_a_frame_at_the_given_time_is_not_after_it() -> None:
    assert heard("#--").first_audible(0.01) is None


def test_last_audible_before_a_time_leaves_out_what_came_later() -> None:
    assert heard("##--##").last_audible(before_s=0.05) == 0.02


def test_the_end_of_sound_is_the_last_audible_frame_before_a_long_enough_silence() -> None:
    assert heard("##-##----##").end_of_sound(0.0, 0.03) == 0.05


def test_a_short_silence_is_not_the_end_of_sound() -> None:
    assert heard("##-##-").end_of_sound(0.0, 0.03) is None


def test_the_end_of_sound_is_the_beginning_when_nothing_was_audible() -> None:
    assert heard("#-----").end_of_sound(0.01, 0.03) == 0.01


def test_audible_seconds_count_only_audible_frames_between_the_times() -> None:
    assert heard("####--##").audible_s(0.015, 0.075) == pytest.approx(0.04)


def test_samples_are_the_audio_between_the_times_in_order() -> None:
    samples = heard("#-#").samples(0.015)
    assert len(samples) == 480
    assert samples[0] < samples[-1]


def test_a_minus_full_scale_sample_is_audible() -> None:
    hearing = Hearing(RATE_HZ)
    hearing.add(1.0, np.full(240, -32768, np.int16).tobytes())
    assert hearing.last_audible() == 1.0


def test_the_longest_silence_counts_the_ends_of_the_time_and_frames_that_never_came() -> None:
    hearing = heard("###--###-----###")
    assert hearing.longest_silence(0.0, 0.17) == pytest.approx(0.06)
    for n in range(3):
        hearing.add(0.9 + n / 100, LOUD)
    assert hearing.longest_silence(0.0, 0.95) == pytest.approx(0.74)
    assert hearing.longest_silence(0.925, 2.0) == pytest.approx(1.075)


def test_a_click_does_not_end_a_silence() -> None:
    assert heard("###---##--------###").longest_silence(0.0, 0.2) == pytest.approx(0.14)
