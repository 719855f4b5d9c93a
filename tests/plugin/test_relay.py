"""Single rules of resumed speech, each as a short story with a clock."""

from __future__ import annotations

import pytest

from tts_plugin.breakers import Breakers
from tts_plugin.decisions import Ask, Drop, End, Feed, Finish, GiveUp, Open, Push, Swap
from tts_plugin.doubt import RelayLimits
from tts_plugin.protocol import FailureCode, Word
from tts_plugin.relay import ENOUGH_WORDS, Relay
from tts_plugin.transcript import Piece

RATE_HZ = 1_000
LIMITS = RelayLimits()


def relay_of(engines: int) -> Relay:
    return Relay(Breakers(engines), LIMITS, RATE_HZ)


def word(n: int) -> Word:
    """The n-th of "aa aa aa …", a second long."""
    return Word("aa", float(n), n + 1.0, max(0, 3 * n - 1), 3 * n + 2)


def test_white_space_opens_nothing() -> None:
    relay = relay_of(1)
    assert relay.feed(" \n", 0.0) == []
    assert relay.feed("aa", 0.0) == [Open(1, 0, 0, False)]
    assert relay.feed(" aa", 0.1) == [Feed(" aa")]
    assert relay.end(0.2) == [End()]


def test_engines_that_make_a_sound_but_no_word_are_each_tried_once() -> None:
    relay = relay_of(2)
    relay.feed("aa aa", 0.0)
    relay.words(1, [word(0)], 0.1)
    assert relay.audio(1, 50, 0.1) == [Push(50, (Piece("aa", 0.0, 1.0),))]
    assert relay.lost(1, 0.2) == [Drop(), Swap(0, "unreachable"), Open(2, 1, 0, False)]
    relay.audio(2, 50, 0.3)
    assert relay.lost(2, 0.4) == [Drop(), GiveUp("unreachable")]
    assert relay.feed("aa", 0.5) == relay.tick(9.0) == []


def test_an_unfinished_word_is_kept_back_until_the_listener_needs_it() -> None:
    relay = relay_of(2)
    relay.feed("aa aa aa", 0.0)
    relay.words(1, [word(0), word(1), word(2)], 0.0)
    assert [d.samples for d in relay.audio(1, 1_500, 0.0) if isinstance(d, Push)] == [1_500], "nothing was in hand"
    assert relay.audio(1, 300, 0.1) == []
    assert relay.deadline_s == 1.5 - LIMITS.dry_s
    assert [d.samples for d in relay.tick(1.0) if isinstance(d, Push)] == [300]


def test_what_was_kept_back_is_dropped_and_said_by_the_next_engine() -> None:
    relay = relay_of(2)
    relay.feed("aa aa aa", 0.0)
    relay.words(1, [word(0), word(1), word(2)], 0.0)
    relay.audio(1, 1_000, 0.0)
    relay.audio(1, 900, 0.0)
    assert relay.lost(1, 0.1) == [Drop(), Swap(0, "unreachable"), Open(2, 1, 2, False)]


def test_an_engine_that_is_quiet_with_nothing_to_say_is_not_stuck() -> None:
    relay = relay_of(2)
    relay.feed("aa " * (ENOUGH_WORDS - 1), 0.0)
    assert relay.deadline_s is None
    relay.feed("aa ", 5.0)
    assert relay.deadline_s == 5.0 + LIMITS.first_audio_s


def test_the_last_engine_is_given_more_time() -> None:
    relay = relay_of(1)
    relay.feed("aa", 0.0)
    relay.end(1.0)
    assert relay.deadline_s == 1.0 + LIMITS.last_s


def test_a_stall_is_seen_before_the_listener_runs_dry() -> None:
    relay = relay_of(2)
    relay.feed("aa aa aa", 0.0)
    relay.words(1, [word(0), word(1)], 0.0)
    relay.audio(1, 2_000, 0.0)
    relay.end(0.1)
    assert relay.deadline_s == 2.0 - LIMITS.dry_s
    assert relay.tick(1.5) == [Drop(), Swap(0, "stalled"), Open(2, 1, 5, False)]


def test_all_that_was_said_and_then_lost_needs_nobody() -> None:
    relay = relay_of(2)
    relay.feed("aa ", 0.0)
    relay.end(0.0)
    relay.words(1, [word(0)], 0.0)
    relay.audio(1, 1_000, 0.0)
    assert relay.lost(1, 0.1) == [Drop(), Finish((Piece(" ", 1.0, 1.0),))]


def test_an_engine_that_tires_of_waiting_is_not_blamed() -> None:
    breakers = Breakers(2)
    relay = Relay(breakers, LIMITS, RATE_HZ)
    relay.feed("aa ", 0.0)
    relay.words(1, [word(0)], 0.0)
    relay.audio(1, 1_000, 0.0)
    assert relay.failed(1, "timed_out", 30.0) == [Drop()]
    assert breakers.choose(30.0) == 0
    assert relay.feed("aa", 40.0) == [Open(2, 0, 2, False)]


@pytest.mark.parametrize("code", ["at_capacity", "draining"])
def test_a_refusal_is_no_fault(code: FailureCode) -> None:
    breakers = Breakers(2)
    relay = Relay(breakers, LIMITS, RATE_HZ)
    relay.feed("aa", 0.0)
    assert relay.failed(1, code, 0.0, retry_after_s=7.0) == [Drop(), Swap(0, "refused"), Open(2, 1, 0, False)]
    assert breakers.next_probe() == (0, 7.0)


def test_late_news_of_an_attempt_that_is_over_is_ignored() -> None:
    relay = relay_of(2)
    relay.feed("aa", 0.0)
    relay.lost(1, 0.1)
    for late in (
        relay.audio(1, 100, 0.2),
        relay.words(1, [word(0)], 0.2),
        relay.done(1, 0.2),
        relay.lost(1, 0.2),
        relay.failed(1, "engine_error", 0.2),
    ):
        assert late == []


def test_an_engine_that_does_not_say_that_it_is_there_is_frozen_however_little_text_there_is() -> None:
    relay = relay_of(2)
    relay.feed("aa aa ", 0.0)
    relay.opened(1, estimated=False)
    relay.words(1, [word(0)], 0.0)
    relay.audio(1, 1_000, 0.0)
    assert relay.deadline_s == 1.0 - LIMITS.dry_s
    assert relay.tick(0.5) == [Ask()]
    assert relay.deadline_s == 0.5 + LIMITS.answer_s
    assert relay.tick(0.9) == [Drop(), Swap(0, "stalled"), Open(2, 1, 2, False)]


def test_an_engine_that_says_that_it_is_there_is_waited_for_and_asked_again_later() -> None:
    relay = relay_of(2)
    relay.feed("aa aa ", 0.0)
    relay.opened(1, estimated=False)
    relay.words(1, [word(0)], 0.0)
    relay.audio(1, 1_000, 0.0)
    relay.tick(0.5)
    relay.answered(1, 0.6)
    assert relay.deadline_s == 1.6
    assert relay.tick(1.6) == [Ask()]


def test_while_the_others_failed_lately_the_one_that_speaks_is_waited_for() -> None:
    breakers = Breakers(2)
    breakers.failed(1, 0.0)
    relay = Relay(breakers, LIMITS, RATE_HZ)
    relay.feed("aa", 0.0)
    relay.end(0.0)
    relay.opened(1, estimated=False)
    assert relay.deadline_s == LIMITS.last_s
    assert relay.tick(3.0)[1] == Swap(0, "stalled"), "but not for ever"
