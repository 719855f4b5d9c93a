"""Who runs next: a simulated clock, simulated listeners, and what must hold whatever comes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts_plugin.engine.scheduler import LONGEST_WAIT_S, PATIENCE_S, RANK, Candidate, Slots, choose

LATENT_S = 0.1333
CLASSES = st.sampled_from(list(RANK))
TIMES = st.floats(0, 100, allow_nan=False)
CANDIDATES = st.lists(
    st.builds(Candidate, st.integers(0, 10_000), CLASSES, TIMES, st.none() | TIMES, st.booleans()),
    max_size=80,
    unique_by=lambda candidate: candidate.key,
)


@given(CANDIDATES, st.integers(1, 16), TIMES)
def test_no_more_rows_than_fit_and_no_row_idle_while_somebody_waits(candidates, rows, now) -> None:
    chosen = choose(candidates, rows, now)
    assert len(chosen) == len(set(chosen)) == min(rows, len(candidates))


@given(CANDIDATES, st.integers(1, 16))
def test_among_those_that_wait_no_longer_than_they_must_class_goes_before_all(candidates, rows) -> None:
    fresh = [replace(candidate, waiting_since_s=100) for candidate in candidates]
    chosen = set(choose(fresh, rows, 100.1))
    left = [RANK[candidate.klass] for candidate in fresh if candidate.key not in chosen]
    assert all(RANK[c.klass] <= min(left, default=9) for c in fresh if c.key in chosen)


@given(CANDIDATES, st.integers(1, 16))
def test_within_a_class_the_earliest_deadline_goes_first(candidates, rows) -> None:
    same = [replace(candidate, klass="call") for candidate in candidates]
    chosen = choose(same, rows, 0.0)
    by_key = {candidate.key: candidate for candidate in same}
    deadlines = [by_key[key].deadline_s() for key in chosen]
    assert deadlines == sorted(deadlines)
    assert all(by_key[key].deadline_s() <= c.deadline_s() for key in chosen for c in same if c.key not in chosen)


def test_a_first_sound_goes_before_anybodys_spare_audio() -> None:
    spare = [Candidate(n, "call", 9.0, dry_at_s=10.0 + n / 10) for n in range(8)]
    assert choose([*spare, Candidate(99, "call", 9.9, first=True)], 1, 10.0) == [99]


def test_a_listener_that_ran_dry_long_ago_goes_before_a_new_first_sound() -> None:
    assert choose([Candidate(1, "call", 9.9, first=True), Candidate(2, "call", 9.0, dry_at_s=9.5)], 1, 10.0) == [2]


def test_a_file_waits_for_calls_but_not_for_ever() -> None:
    file = Candidate(1, "file", 0.0)
    call = Candidate(2, "call", LONGEST_WAIT_S - 0.1, dry_at_s=LONGEST_WAIT_S)
    assert choose([file, call], 1, LONGEST_WAIT_S - 0.1) == [2]
    assert choose([file, call], 1, LONGEST_WAIT_S) == [1]


@dataclass
class Talker:
    """A simulated utterance: needs `latents` steps, has a listener when realtime."""

    key: int
    klass: str
    comes_at: float
    latents: int
    realtime: bool
    made: int = 0
    heard_from: float | None = None
    waiting_since: float | None = None
    longest_wait: float = 0.0

    def candidate(self, now: float) -> Candidate | None:
        if now < self.comes_at or self.made >= self.latents:
            return None
        dry_at = None if self.heard_from is None else self.heard_from + self.made * LATENT_S
        if self.realtime and dry_at is not None and dry_at - now > 3.0:
            self.waiting_since = None
            return None
        self.waiting_since = now if self.waiting_since is None else self.waiting_since
        return Candidate(self.key, self.klass, self.waiting_since, dry_at if self.realtime else None, not self.made)

    def serve(self, now: float) -> None:
        assert self.waiting_since is not None
        self.longest_wait = max(self.longest_wait, now - self.waiting_since)
        self.made += 1
        self.heard_from = now if self.heard_from is None else self.heard_from
        self.waiting_since = None


TALKERS = st.lists(st.tuples(CLASSES, st.floats(0, 3), st.integers(1, 40), st.booleans()), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(TALKERS, st.integers(1, 8))
def test_nobody_starves_whatever_the_load(talkers, rows) -> None:
    """Everybody gets a turn within LONGEST_WAIT_S and the steps that serve all who waited as long once."""
    step_s = 0.05
    everyone = [Talker(n, *talker) for n, talker in enumerate(talkers)]
    now = 0.0
    for _ in range(5_000):
        candidates = [c for talker in everyone if (c := talker.candidate(now))]
        for key in choose(candidates, rows, now):
            everyone[key].serve(now)
        if all(talker.made == talker.latents for talker in everyone):
            break
        now += step_s
    bound = LONGEST_WAIT_S + step_s * (len(everyone) // rows + 2)
    assert all(talker.made == talker.latents for talker in everyone)
    assert max(talker.longest_wait for talker in everyone) <= bound


def test_calls_keep_real_time_beside_any_number_of_files() -> None:
    calls = [Talker(n, "call", n * 0.05, 60, realtime=True) for n in range(6)]
    files = [Talker(n, "file", 0.0, 60, realtime=False) for n in range(6, 40)]
    everyone, now = [*calls, *files], 0.0
    while any(call.made < call.latents for call in calls):
        candidates = [c for talker in everyone if (c := talker.candidate(now))]
        for key in choose(candidates, 8, now):
            everyone[key].serve(now)
        for call in calls:
            if call.heard_from is not None and 0 < call.made < call.latents:
                assert call.heard_from + call.made * LATENT_S >= now, "a caller heard a gap"
        now += 0.12  # 8 rows in 120 ms: six calls need them all but two
    assert any(file.made for file in files)


@given(st.integers(1, 200), CLASSES, st.integers(0, 200))
def test_files_leave_the_reserve_and_nobody_goes_beyond_the_slots(total, klass, active) -> None:
    slots = Slots.of(total)
    if slots.has_room(klass, active):
        assert active < slots.total
        assert klass != "file" or active < slots.total - slots.reserve
    if active < total and klass != "file":
        assert slots.has_room(klass, active)
    assert slots.room_for("file") >= 1


@pytest.mark.parametrize("patience", [PATIENCE_S])
def test_who_has_no_listener_is_due_after_a_while(patience) -> None:
    assert Candidate(1, "call", 5.0).deadline_s() == 5.0 + patience
