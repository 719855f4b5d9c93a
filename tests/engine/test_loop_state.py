"""How late a loop is, from its ticks."""

from __future__ import annotations

from tts_plugin.loop_state import TickLag


def test_the_longest_delay_of_each_five_seconds_is_told() -> None:
    now, told = [0.0], list[float]()
    lag = TickLag(told.append, clock=lambda: now[0])
    for step in (0.1, 0.1, 0.4, *[0.1] * 50):
        now[0] += step
        lag.tick()
    assert [round(seconds, 6) for seconds in told] == [0.3]


def test_what_was_told_is_not_told_again() -> None:
    now, told = [0.0], list[float]()
    lag = TickLag(told.append, clock=lambda: now[0])
    for step in (6.0, *[0.1] * 60):
        now[0] += step
        lag.tick()
    assert [round(seconds, 6) for seconds in told] == [5.9, 0.0]
