"""Who speaks next: the preferred engine that is well; nobody is left out while nobody else is there."""

from __future__ import annotations

from tts_plugin.breakers import FIRST_PAUSE_S, LONGEST_PAUSE_S, Breakers


def test_the_first_engine_is_preferred() -> None:
    assert Breakers(3).choose(0.0) == 0


def test_one_that_failed_is_left_alone_for_a_while() -> None:
    breakers = Breakers(2)
    breakers.failed(0, 100.0)
    assert breakers.state(0, 100.0 + FIRST_PAUSE_S - 0.01) == "open"
    assert breakers.state(0, 100.0 + FIRST_PAUSE_S) == "half_open"
    assert breakers.choose(200.0) == 1, "half open is for a probe, while another is there"


def test_a_probe_closes_and_a_failed_one_waits_twice_as_long() -> None:
    breakers = Breakers(2)
    breakers.failed(0, 0.0)
    assert breakers.next_probe() == (0, FIRST_PAUSE_S)
    breakers.failed(0, 10.0)
    assert breakers.next_probe() == (0, 10.0 + 2 * FIRST_PAUSE_S)
    breakers.ready(0)
    assert breakers.next_probe() is None
    assert breakers.choose(11.0) == 0


def test_a_probe_does_not_make_up_for_failures_but_speech_does() -> None:
    breakers = Breakers(2)
    breakers.failed(0, 0.0)
    breakers.ready(0)
    breakers.failed(0, 10.0)
    assert breakers.next_probe() == (0, 10.0 + 2 * FIRST_PAUSE_S)
    breakers.spoke(0)
    breakers.failed(0, 20.0)
    assert breakers.next_probe() == (0, 20.0 + FIRST_PAUSE_S)


def test_no_pause_is_longer_than_the_longest() -> None:
    breakers = Breakers(1)
    for _ in range(50):
        breakers.failed(0, 0.0)
    assert breakers.next_probe() == (0, LONGEST_PAUSE_S)


def test_a_full_engine_is_left_alone_as_long_as_it_says() -> None:
    breakers = Breakers(2)
    breakers.refused(0, 0.0, 4.0)
    assert breakers.state(0, 3.9) == "open"
    assert breakers.state(0, 4.0) == "half_open"


def test_when_all_failed_the_one_to_be_probed_comes_before_one_that_just_failed() -> None:
    breakers = Breakers(3)
    for engine, at_s in ((0, 10.0), (1, 0.0), (2, 10.0)):
        breakers.failed(engine, at_s)
    assert breakers.choose(10.5) == 1
    assert breakers.choose(10.5, {1}) == 0
    assert breakers.choose(10.5, {0, 1, 2}) is None
