"""`tts-ops plan`: its parts against what can be computed or simulated another way."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from worker.plan.card import CARDS, FRAME_S, HEADROOM, projected_slots
from worker.plan.packing import calls_per_engine, overflow
from worker.plan.sizing import Question, plan
from worker.plan.surge import Fleet, Surge, least_workers, simulate


@pytest.mark.parametrize(("calls", "slots", "duty"), [(10, 4, 0.35), (30, 16, 0.35), (100, 32, 0.5), (5, 5, 0.9)])
def test_overflow_is_the_tail_of_the_binomial(calls: int, slots: int, duty: float) -> None:
    exact = sum(math.comb(calls, k) * duty**k * (1 - duty) ** (calls - k) for k in range(slots + 1, calls + 1))
    assert overflow(calls, slots, duty) == pytest.approx(exact, abs=1e-12)


def test_sixteen_slots_carry_twenty_nine_calls() -> None:
    """The figure of the design: capacity 16, agents speak 35 %, overflow below 1 %."""
    assert calls_per_engine(16, 0.35, 0.01) == 29
    assert overflow(29, 16, 0.35) <= 0.01 < overflow(30, 16, 0.35)


def test_an_agent_that_always_speaks_takes_a_slot_of_its_own() -> None:
    assert calls_per_engine(16, 1.0, 0.01) == 16


def test_a_faster_card_says_more_and_a_worse_engine_less() -> None:
    slots = {name: projected_slots(card, 4.0) for name, card in CARDS.items()}
    assert slots["L4"] < slots["A10G"] < slots["L40S"] <= slots["H100"]
    assert projected_slots(CARDS["L4"], 8.0) < slots["L4"] < projected_slots(CARDS["L4"], 2.0)
    assert projected_slots(CARDS["L4"], FRAME_S / HEADROOM / 1e-4) == 0


SURGE = Surge(base=100, peak=500, ramp_s=600, call_s=120)


def test_without_growth_and_with_room_nobody_is_refused() -> None:
    still = Surge(base=100, peak=100, ramp_s=600, call_s=120)
    outcome = simulate(Fleet(per_worker=20, target=0.7, least=10, most=10), still)
    assert outcome.refused == 0
    assert outcome.arrived == pytest.approx(100 / 120 * 2_400, rel=0.1)
    assert outcome.call_hours == pytest.approx(100 * 2_400 / 3600, rel=0.1)


def test_slower_new_workers_and_fewer_at_the_start_refuse_more() -> None:
    def refused(**given: int) -> int:
        return simulate(Fleet(**{"per_worker": 20, "target": 0.7, "least": 8, "most": 60} | given), SURGE).refused  # type: ignore[arg-type]

    assert refused(cold_start_s=600) > refused(cold_start_s=60)
    assert refused(cold_start_s=600, least=8) > refused(cold_start_s=600, least=30)


def test_the_least_number_of_workers_is_enough_and_one_fewer_is_not() -> None:
    fleet = Fleet(per_worker=20, target=0.7, least=1, most=60, cold_start_s=400)
    least = least_workers(fleet, SURGE, 0.001)
    assert 1 < least < 60
    for workers, enough in ((least, True), (least - 1, False)):
        tried = Fleet(per_worker=20, target=0.7, least=workers, most=60, cold_start_s=400)
        assert (simulate(tried, SURGE).refused_share <= 0.001) is enough


def test_a_full_fleet_takes_exactly_its_capacity() -> None:
    crowd = Surge(base=10, peak=10_000, ramp_s=60, call_s=1e6)
    outcome = simulate(Fleet(per_worker=20, target=0.7, least=5, most=5), crowd)
    assert outcome.arrived - outcome.refused == pytest.approx(5 * 20 - 10, abs=3)


def test_cores_bind_where_they_are_few() -> None:
    assert plan(Question(100, slots=64, cores_per_node=2)).bound_by == "the node's cores"
    assert plan(Question(100, slots=4, cores_per_node=64)).bound_by == "the engine's slots"


def test_the_cost_is_that_of_all_node_hours_over_all_call_hours() -> None:
    made = plan(Question(200, slots=16, node_price=2.0))
    assert made.cost_per_call_hour == pytest.approx(2 * made.surge.worker_hours / made.surge.call_hours)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--calls", "0"], "--calls is 0; at least 1"),
        (["--calls", "10", "--gpu", "B52"], "--gpu is 'B52'; known: L4, A10G"),
        (["--calls", "10", "--cores", "0"], "--cores is 0; a call takes 0.25"),
    ],
)
def test_a_question_without_an_answer_is_told_why(options: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "plan", *options], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_ten_thousand_calls_on_l4_cards_are_planned_and_said_to_be_a_projection() -> None:
    command = [sys.executable, "-m", "worker.cli", "plan", "--calls", "10000", "--gpu", "L4"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert told.returncode == 0, told.stderr
    assert "projected: 4 times the card's roofline" in told.stdout
    made = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=50).stdout)["plan"]
    assert made["most_workers"] * made["calls_per_worker"] >= 10_000
    assert made["least_workers"] <= made["most_workers"]
    assert np.isfinite(made["surge"]["worker_hours"])
