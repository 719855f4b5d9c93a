import math

from hypothesis import given
from hypothesis import strategies as st

from tts_plugin.engine.flow import Flow

RATE = 1000


def test_a_reader_that_gives_no_credit_gets_one_window() -> None:
    flow = Flow(RATE, window_samples=500, ahead_samples=None)
    flow.send(500, 0.0)
    assert flow.free_at(1, 0.0) == math.inf


def test_credit_allows_as_much_again() -> None:
    flow = Flow(RATE, window_samples=500, ahead_samples=None)
    flow.send(500, 0.0)
    flow.credit(200)
    assert flow.credit_left == 200
    assert flow.free_at(200, 0.0) == 0.0


def test_credit_for_what_was_never_sent_counts_for_nothing() -> None:
    flow = Flow(RATE, window_samples=500, ahead_samples=None)
    flow.send(300, 0.0)
    flow.credit(1_000_000)
    assert flow.credit_left == 500


def test_a_realtime_utterance_waits_for_its_listener() -> None:
    flow = Flow(RATE, window_samples=100_000, ahead_samples=2_000)
    flow.send(2_000, 0.0)
    assert flow.free_at(500, 0.0) == 0.5
    assert flow.free_at(500, 0.5) == 0.5


def test_what_the_listener_says_counts_more_than_what_is_reckoned() -> None:
    flow = Flow(RATE, window_samples=100_000, ahead_samples=2_000)
    flow.send(2_000, 0.0)
    flow.played(0, 1.0)
    assert flow.free_at(500, 1.0) == 1.5


def test_a_listener_that_ran_dry_does_not_run_on() -> None:
    flow = Flow(RATE, window_samples=100_000, ahead_samples=2_000)
    flow.send(100, 0.0)
    flow.send(100, 10.0)
    assert flow.ahead_s(10.0) == 0.1


@given(st.lists(st.tuples(st.sampled_from(["send", "credit", "wait"]), st.integers(0, 400)), max_size=60))
def test_never_more_is_sent_than_window_and_credit(steps: list[tuple[str, int]]) -> None:
    flow, now, allowed = Flow(RATE, 1_000, 700), 0.0, 1_000
    for step, amount in steps:
        if step == "wait":
            now += amount / RATE
        elif step == "credit":
            flow.credit(amount)
            allowed += amount
        elif flow.free_at(amount, now) <= now:
            flow.send(amount, now)
        assert flow.sent <= allowed
        assert flow.ahead_s(now) * RATE <= 700 + 1e-6
