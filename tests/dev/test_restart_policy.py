"""RestartPolicy with a clock in the test's hand."""

import pytest

from worker.dev.restart_policy import RestartPolicy


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_pause_doubles_up_to_eight_seconds(clock: Clock) -> None:
    policy = RestartPolicy(clock)
    pauses = []
    for _ in range(7):
        pauses.append(policy.died())
        clock.now += 20
    assert pauses == [0.5, 1, 2, 4, 8, 8, 8]


def test_the_fifth_death_in_a_minute_gives_up(clock: Clock) -> None:
    policy = RestartPolicy(clock)
    for _ in range(4):
        assert policy.died() is not None
        clock.now += 14.9
    assert policy.died() is None


def test_five_deaths_in_more_than_a_minute_are_borne(clock: Clock) -> None:
    policy = RestartPolicy(clock)
    for _ in range(4):
        policy.died()
        clock.now += 15.1
    assert policy.died() is not None


def test_a_quiet_minute_makes_the_pause_short_again(clock: Clock) -> None:
    policy = RestartPolicy(clock)
    for _ in range(3):
        policy.died()
    clock.now += 60.1
    assert policy.died() == 0.5
