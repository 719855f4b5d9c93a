"""The watchdog against a listener of its own, over thousands of random turns: who waits is never left in silence."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from worker.watchdog import Due, Limits, Watchdog

LIMITS = Limits()
PROMISE_S = 3.0
SCHEDULES = 6_000
ACT_S = 0.05  # how late the nodes look


@dataclass(slots=True)
class Ear:
    """Hears what is pushed one after the other; not while the caller speaks. Its arithmetic is not the watchdog's."""

    at: float
    queued_s: float = 0.0
    silent_s: float = 0.0
    longest_s: float = 0.0
    fillers_heard_at: list[float] = field(default_factory=list)

    def pass_time(self, until: float, *, caller_speaks: bool) -> None:
        span = until - self.at
        self.at = until
        if caller_speaks:
            self.silent_s = 0.0
            return
        played = min(span, self.queued_s)
        self.queued_s -= played
        if played:
            self.longest_s = max(self.longest_s, self.silent_s)
            self.silent_s = 0.0
        self.silent_s += span - played
        self.longest_s = max(self.longest_s, self.silent_s)


def turn(rng: random.Random) -> tuple[Ear, float, bool]:
    """One random turn: the listener, how long the turn lasted, and whether it ended with an apology."""
    dog = Watchdog(LIMITS)
    if early := rng.random() < 0.3:  # an answer begun before the turn was committed
        dog.voice_opened()
        early_s = rng.uniform(0.1, 4)
        dog.pushed(0.0, early_s, word=True)
    began = 100.0
    dog.began(began, silent_since=began - rng.uniform(0, 1.6) if rng.random() < 0.5 else None)
    ear = Ear(began, early_s if early else 0.0)
    end = began + rng.uniform(0.5, 40)
    moments = sorted(rng.uniform(began, end) for _ in range(rng.choice((0, 0, 1, 3, 8))))
    events = [(at, rng.choice(("word", "word", "word", "caller"))) for at in moments]
    caller_until: float | None = None
    now = began
    while True:
        due_at = dog.next_at()
        at, what = events[0] if events else (end, "end")
        if caller_until is not None and caller_until <= at:
            at, what = caller_until, "pause"
        if due_at is not None and due_at + ACT_S < at:
            at, what = max(now, due_at) + rng.uniform(0, ACT_S), "due"
        ear.pass_time(at, caller_speaks=caller_until is not None)
        now = at
        if what == "due":
            due = dog.due(now)
            assert due is not None
            seconds = rng.uniform(0.6, 2.5)
            dog.pushed(now, seconds, word=due is Due.APOLOGY)
            ear.queued_s += seconds
            if due is Due.APOLOGY:
                return ear, now - began, True
            ear.fillers_heard_at.append(now)
        elif what == "pause":
            caller_until = None
            dog.caller_paused(now)
        elif what == "end":
            return ear, now - began, False
        else:
            events.pop(0)
            if what == "word":
                seconds = rng.uniform(0.1, 6)
                dog.pushed(now, seconds, word=True)
                ear.queued_s += seconds
            elif caller_until is None:
                caller_until = now + rng.uniform(0.2, 5)
                dog.caller_spoke(now)


def test_the_listener_is_never_silent_for_longer_than_promised() -> None:
    longest = 0.0
    for seed in range(SCHEDULES):
        ear, _, _ = turn(random.Random(seed))
        assert ear.longest_s <= PROMISE_S, f"schedule {seed}"
        longest = max(longest, ear.longest_s)
    print(f"longest silence in {SCHEDULES} schedules: {longest:.2f} s")
    assert longest > LIMITS.filler_after_s - 0.1  # the schedules do come to the point


def test_a_turn_without_a_word_ends_with_an_apology() -> None:
    dog = Watchdog(LIMITS)
    dog.began(0.0)
    now, fillers = 0.0, 0
    while (due := dog.due(now)) is not Due.APOLOGY:
        if due is Due.FILLER:
            dog.pushed(now, 1.0, word=False)
            fillers += 1
        now += 0.01
        assert now < 60
    assert now == pytest.approx(LIMITS.turn_s, abs=0.02)
    assert fillers == 4  # at 2.0, 5.5, 9.0 and 12.5 s


def test_the_first_filler_comes_two_seconds_after_the_last_sound() -> None:
    dog = Watchdog(LIMITS)
    dog.began(0.0)
    dog.pushed(0.5, 3.0, word=True)
    assert dog.next_at() == pytest.approx(3.5 + 2.0)


def test_a_spoken_turn_counts_from_the_callers_last_sound_but_leaves_time_to_answer() -> None:
    dog = Watchdog(LIMITS)
    dog.began(10.0, silent_since=9.4)
    assert dog.next_at() == pytest.approx(11.4)
    dog.ended(10.1)
    dog.began(20.0, silent_since=18.4)
    assert dog.next_at() == pytest.approx(21.0)


def test_nothing_is_due_while_the_caller_speaks_and_what_was_queued_is_still_to_be_heard() -> None:
    dog = Watchdog(LIMITS)
    dog.began(0.0)
    dog.pushed(0.0, 2.0, word=True)
    dog.caller_spoke(1.0)
    assert dog.next_at() is None
    dog.caller_paused(30.0)
    assert dog.next_at() == pytest.approx(30.0 + 1.0 + 2.0)


def test_nothing_is_due_outside_a_turn() -> None:
    dog = Watchdog(LIMITS)
    assert dog.next_at() is None
    dog.began(0.0)
    dog.ended(1.0)
    assert dog.next_at() is None


def test_an_answer_that_was_begun_early_and_thrown_away_is_not_heard() -> None:
    dog = Watchdog(LIMITS)
    dog.voice_opened()
    dog.pushed(0.0, 5.0, word=True)
    dog.voice_opened()
    dog.began(1.0)
    assert dog.next_at() == pytest.approx(3.0)


def test_the_silences_of_a_turn_are_told_at_its_end() -> None:
    dog = Watchdog(LIMITS)
    dog.began(0.0)
    dog.pushed(1.5, 1.0, word=True)
    assert dog.ended(3.5) == pytest.approx([1.5, 1.0])
