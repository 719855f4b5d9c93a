"""What verify measures in a sound: a clean one, and one with exactly one fault."""

import numpy as np
import pytest

from worker.verify.signal import Samples, clipped_share, end_level_db, silence, worst_click

RATE_HZ = 24_000
CHUNK = 3_200


def voiced(seconds: float = 2.0, peak: float = 0.5) -> Samples:
    """A vowel: 120 Hz with harmonics, rising and fading within 50 ms."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * 120 * n * t + n) / n for n in range(1, 20))
    ramp = np.clip(np.minimum(t, t[-1] - t) / 0.05, 0, 1)
    return (peak * ramp * wave / np.abs(wave).max()).astype(np.float32)


def quiet(seconds: float) -> Samples:
    """A room's noise at −70 dBFS."""
    return (np.random.default_rng(0).normal(0, 3e-4, int(seconds * RATE_HZ))).astype(np.float32)


def joins(samples: Samples) -> range:
    return range(CHUNK, len(samples), CHUNK)


def test_a_clean_sound_has_no_fault() -> None:
    sound = voiced()
    assert clipped_share(sound) == 0
    assert worst_click(sound, RATE_HZ, joins(sound)) <= 1.0
    assert end_level_db(sound, RATE_HZ) < -15
    assert max(silence(sound, RATE_HZ)) <= 0.02


@pytest.mark.parametrize("seconds", [0.25, 0.8])
def test_silence_before_the_first_sound_is_measured(seconds: float) -> None:
    found = silence(np.concatenate([quiet(seconds), voiced()]), RATE_HZ)
    assert found.leading_s == pytest.approx(seconds, abs=0.02)
    assert found.trailing_s <= 0.02


def test_silence_after_the_last_sound_is_measured() -> None:
    found = silence(np.concatenate([voiced(), quiet(1.2)]), RATE_HZ)
    assert found.trailing_s == pytest.approx(1.2, abs=0.02)
    assert found.leading_s <= 0.02


def test_the_longest_pause_inside_is_measured() -> None:
    found = silence(np.concatenate([voiced(), quiet(0.3), voiced(), quiet(1.7), voiced()]), RATE_HZ)
    assert found.longest_pause_s == pytest.approx(1.7, abs=0.04)
    assert max(found.leading_s, found.trailing_s) <= 0.02


@pytest.mark.parametrize("peak", [0.01, 0.9])
def test_silence_is_judged_against_how_loud_the_voice_is(peak: float) -> None:
    sound = np.concatenate([np.zeros(RATE_HZ, np.float32), voiced(peak=peak)])
    assert silence(sound, RATE_HZ).leading_s == pytest.approx(1.0, abs=0.03)


def test_nothing_but_silence_is_leading_silence() -> None:
    assert silence(np.zeros(RATE_HZ, np.float32), RATE_HZ).leading_s == 1.0
    assert silence(quiet(1.0), RATE_HZ).leading_s == 1.0


def test_no_sample_at_all_is_no_error() -> None:
    nothing = np.zeros(0, np.float32)
    assert silence(nothing, RATE_HZ).leading_s == 0
    assert clipped_share(nothing) == 0
    assert worst_click(nothing, RATE_HZ, ()) == 0
    assert end_level_db(nothing, RATE_HZ) < -100


def test_clipped_samples_are_counted() -> None:
    loud = voiced(peak=0.5) * 4
    clipped = np.clip(loud, -1, 1).astype(np.float32)
    over = np.mean(np.abs(loud) > 1)
    assert over > 0.01
    assert clipped_share(clipped) == pytest.approx(over, rel=0.2)


def test_a_single_sample_at_full_scale_is_not_clipping() -> None:
    sound = voiced(peak=1.0)
    sound[[1000, 1001, 9000]] = 1.0, 1.0, -1.0
    assert clipped_share(sound) == 0


@pytest.mark.parametrize("step", [0.15, -0.3])
def test_a_step_at_a_join_is_a_click(step: float) -> None:
    sound = voiced()
    sound[4 * CHUNK : 5 * CHUNK] += np.float32(step) * np.linspace(1, 0, CHUNK, dtype=np.float32)
    assert worst_click(sound, RATE_HZ, joins(sound)) > 3


def test_a_wrong_first_sample_at_a_join_is_a_click() -> None:
    sound = voiced()
    sound[3 * CHUNK] += 0.2
    assert worst_click(sound, RATE_HZ, joins(sound)) > 3


def test_lost_samples_at_a_join_are_a_click() -> None:
    sound = voiced()
    cut = np.delete(sound, np.s_[4 * CHUNK : 4 * CHUNK + 90])
    assert worst_click(cut, RATE_HZ, joins(cut)) > 3


def test_a_gain_that_jumps_at_a_join_is_a_click() -> None:
    sound = voiced()
    join = CHUNK + int(np.argmax(np.abs(sound[CHUNK : 2 * CHUNK])))  # where the sound is loud
    sound[join:] *= 0.7
    assert worst_click(sound, RATE_HZ, [join]) > 3


def test_a_click_in_silence_is_found_and_dither_is_not() -> None:
    silent = quiet(1.0)
    assert worst_click(silent, RATE_HZ, joins(silent)) < 1
    silent[2 * CHUNK :] += 0.05
    assert worst_click(silent, RATE_HZ, joins(silent)) > 3


def test_a_click_away_from_the_joins_is_not_taken_for_one_at_a_join() -> None:
    sound = voiced()
    sound[4 * CHUNK + 1_500] += 0.5
    assert worst_click(sound, RATE_HZ, joins(sound)) <= 1.0


def test_a_cut_end_is_louder_than_an_end_that_fades() -> None:
    sound = voiced()
    assert end_level_db(sound[: len(sound) // 2], RATE_HZ) > -6
    assert end_level_db(np.concatenate([sound, quiet(0.1)]), RATE_HZ) < -60
