"""How many utterances run in real time: arithmetic over measured steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_plugin.engine.capacity import HEADROOM, Capacity, Measured, step_limit_s

LATENT_S = 3_200 / 24_000


def capacity(*measured: tuple[int, float], most: int = 64, ttfa_target_s: float = 0.25) -> Capacity:
    steps = [Measured(*one) for one in measured]
    return Capacity(steps, latent_s=LATENT_S, ttfa_target_s=ttfa_target_s, most=most)


def test_the_limit_is_head_room_to_real_time_or_half_the_first_sound() -> None:
    assert step_limit_s(LATENT_S, 10.0) == pytest.approx(LATENT_S / HEADROOM)
    assert step_limit_s(LATENT_S, 0.1) == pytest.approx(0.05)


def test_the_largest_batch_within_the_limit_is_the_capacity() -> None:
    assert capacity((1, 0.02), (2, 0.03), (4, 0.05), (8, 0.09), (16, 0.17)).rows == 9  # on the line to 16


def test_memory_bounds_the_capacity() -> None:
    assert capacity((1, 0.001), (64, 0.002), most=48).rows == 48


def test_an_engine_that_is_too_slow_says_so_and_still_takes_one() -> None:
    slow = capacity((1, 0.2))
    assert not slow.real_time
    assert slow.rows == 1
    assert slow.headroom(1) == pytest.approx(LATENT_S / 0.2)


def test_a_slower_moment_lowers_the_capacity_and_it_comes_back() -> None:
    now = capacity((1, 0.02), (8, 0.08), (16, 0.16))
    before = now.rows
    for _ in range(20):
        now.stepped(8, 0.16)
    lowered = now.rows
    assert lowered <= before // 2
    assert now.headroom(8) < 1
    for _ in range(400):
        now.stepped(8, 0.08)
    assert now.rows == before


def test_one_slow_step_does_not_empty_the_house() -> None:
    now = capacity((1, 0.01), (16, 0.05), (32, 0.09))
    before = now.rows
    now.stepped(16, 0.06)
    assert before - 2 <= now.rows <= before


@given(
    first=st.floats(1e-4, 0.3),
    growth=st.lists(st.floats(1.0, 3.0), min_size=0, max_size=8),
    most=st.integers(1, 1024),
    steps=st.lists(st.tuples(st.integers(1, 1024), st.floats(1e-5, 10.0)), max_size=50),
)
def test_capacity_stays_within_its_bounds(
    first: float, growth: list[float], most: int, steps: list[tuple[int, float]]
) -> None:
    measured = [(1, first)]
    for n, factor in enumerate(growth):
        measured.append((2 ** (n + 1), measured[-1][1] * factor))
    now = capacity(*measured, most=most)
    for rows, seconds in steps:
        now.stepped(rows, seconds)
        assert 1 <= now.rows <= most
        assert now.rows == 1 or now.expected_s(now.rows) <= now.limit_s
        assert now.rows == most or now.expected_s(now.rows + 1) > now.limit_s or not now.real_time
