"""Each call is told of once when it begins and once when it ends."""

import pytest

from worker.call_outcome import CallOutcome


@pytest.fixture
def told():
    return []


@pytest.fixture
def outcome(told) -> CallOutcome:
    return CallOutcome(lambda event, **values: told.append((event, values)))


def test_a_call_is_told_of_once_at_each_end(outcome, told):
    outcome.began("inbound", ring_s=0.51234)
    outcome.began("inbound", ring_s=9.0)
    outcome.ended("caller_left")
    outcome.ended("failed")
    assert told == [
        ("call_began", {"direction": "inbound", "ring_s": 0.512}),
        ("call_ended", {"direction": "inbound", "outcome": "caller_left"}),
    ]


def test_what_was_decided_first_is_the_outcome(outcome, told):
    outcome.began("web")
    outcome.decide("agent_hung_up")
    outcome.decide("max_length")
    outcome.ended("failed")
    assert told[-1] == ("call_ended", {"direction": "web", "outcome": "agent_hung_up"})


def test_what_did_not_come_about_is_no_outcome(outcome, told):
    outcome.decide("transferred")
    outcome.forget()
    outcome.ended("caller_left")
    assert told[-1][1]["outcome"] == "caller_left"


def test_a_clock_that_went_back_makes_no_negative_time(outcome, told):
    outcome.began("outbound", ring_s=-1.0)
    assert told[0][1]["ring_s"] == 0.0
