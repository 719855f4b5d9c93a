"""The policy of resumed speech holds its promises on thousands of random schedules of faults."""

from __future__ import annotations

import pytest
from relay_world import CONNECT_S, MAKE_S, RATE_HZ, World

from tts_plugin.doubt import RelayLimits
from tts_plugin.said import ESTIMATED_SLACK_S, SLACK_S

SCHEDULES = 5_000
LIMITS = RelayLimits()
HALF = 0.5  # of a word must be heard before it counts as heard

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    worlds = [World(seed) for seed in range(SCHEDULES)]
    for world in worlds:
        world.run()
    return worlds


def test_every_schedule_ends_and_gives_up_only_when_every_engine_failed(worlds: list[World]) -> None:
    for world in worlds:
        assert world.finished != world.gave_up
        if world.gave_up:
            since = max((n for n, a in enumerate(world.attempts) if a.position > a.order.start), default=0)
            assert {a.order.engine for a in world.attempts[since:] if a.fault} == set(range(world.engines))
    assert sum(world.gave_up for world in worlds) < SCHEDULES / 3
    assert sum(len(world.swaps) for world in worlds) > SCHEDULES / 4


def test_no_word_is_lost(worlds: list[World]) -> None:
    for seed, world in enumerate(worlds):
        if world.finished:
            off = 0 if world.estimated else int(SLACK_S * RATE_HZ)  # a cut between two words may be off by so much
            whole = [s.token for a in world.attempts for s in a.sounds if s.end - off <= a.pushed]
            assert set(whole) == set(range(len(world.tokens))), f"schedule {seed}"
            firsts = list(dict.fromkeys(whole))
            assert firsts == sorted(firsts), f"schedule {seed}: out of order"


def test_at_most_a_word_is_said_twice_at_a_swap_or_one_window_of_estimated_timings(worlds: list[World]) -> None:
    repeats = 0
    for seed, world in enumerate(worlds):
        for old, new in zip(world.attempts, world.attempts[1:], strict=False):
            again = [
                s
                for s in old.sounds
                if world.tokens[s.token][0] >= new.order.start and old.pushed - s.start >= HALF * (s.end - s.start)
            ]
            repeats += len(again)
            if not world.estimated:
                assert len(again) <= 1, f"schedule {seed}"
                if old.in_hand_s > LIMITS.dry_s + 0.25:  # a chunk is pushed whole
                    assert not again, f"schedule {seed}: the listener had enough to hear"
            elif again:
                assert old.pushed - again[0].end <= 2 * ESTIMATED_SLACK_S * RATE_HZ, f"schedule {seed}"
    assert repeats, "no schedule made it repeat anything: it shows nothing"


def test_the_transcript_is_exact_and_its_times_never_run_backwards(worlds: list[World]) -> None:
    for seed, world in enumerate(worlds):
        said = "".join(piece.text for piece in world.pieces)
        assert world.text.startswith(said), f"schedule {seed}"
        assert world.gave_up or said == world.text, f"schedule {seed}"
        times = [time for piece in world.pieces for time in (piece.start_s, piece.end_s)]
        assert times == sorted(times), f"schedule {seed}"
        heard_s = sum(heard.end_s - heard.start_s for heard in world.heard)
        assert world.gave_up or times[-1] == pytest.approx(heard_s, abs=0.01), f"schedule {seed}"


def test_speech_goes_on_at_the_edge_of_a_word(worlds: list[World]) -> None:
    edges = [{start for start, _ in world.tokens} for world in worlds]
    for world, starts in zip(worlds, edges, strict=True):
        for attempt in world.attempts:
            ahead = world.text[attempt.order.start :]
            assert attempt.order.start + len(ahead) - len(ahead.lstrip()) in starts


def test_silence_at_the_listener_is_bounded() -> None:
    """With all the text there, silence is no longer than the failures in it may take."""
    worst_s = 0.0
    for seed in range(1_000):
        world = World(seed, hasty=True)
        world.run()
        start_s = 0.0
        for heard in world.heard:
            silence_s = heard.start_s - start_s
            ends_s = [*(a.opened_s for a in world.attempts[1:]), world.now]
            failed = [
                a
                for a, end_s in zip(world.attempts, ends_s, strict=True)
                if a.fault and a.opened_s <= heard.start_s and end_s >= start_s - LIMITS.dry_s
            ]
            allowed_s = sum(_takes_s(a.fault) for a in failed) + MAKE_S + 0.05
            assert silence_s <= allowed_s, f"schedule {seed}: {silence_s:.2f} s"
            worst_s = max(worst_s, silence_s)
            start_s = heard.end_s
    assert worst_s > 1.0


@pytest.mark.parametrize(("fault", "most_s"), [("cut", 0.4), ("stall", 1.0), ("frozen", 1.0)])
def test_one_engine_lost_in_mid_speech_costs_less_than_a_second_of_silence(fault: str, most_s: float) -> None:
    silences = []
    for seed in range(1_000):
        world = World(seed, faults=(fault,), hasty=True)
        world.run()
        lost = [attempt for attempt in world.attempts if attempt.swapped]
        if world.finished and len(lost) == 1 and lost[0].pushed:
            silences.append(max(b.start_s - a.end_s for a, b in zip(world.heard, world.heard[1:], strict=False)))
    assert len(silences) > 100
    print(f"{fault}: the longest silence of {len(silences)} swaps is {max(silences):.2f} s")
    assert max(silences) <= most_s


def _takes_s(fault: str | None) -> float:
    if fault in ("silent", "stall", "frozen", "black_hole"):
        return max(LIMITS.last_s, CONNECT_S) + LIMITS.quiet_s
    return 0.06
