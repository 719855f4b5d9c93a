"""From a number of calls to engines, workers, nodes and their cost. Every figure says where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from worker.plan.card import CARDS, projected_slots
from worker.plan.packing import calls_per_engine
from worker.plan.surge import Fleet, Outcome, Surge, least_workers, simulate

CORES_PER_CALL_EMBEDDED = 0.6  # measured, 2-core AMD EPYC: recogniser, language model and job
CORES_PER_CALL_REMOTE = 0.25  # measured: job, voice activity and end of turn; recogniser and model elsewhere


LEAST = 2  # one may be drained while the other takes calls


@dataclass(frozen=True, slots=True)
class Question:
    """`slots`: utterances at once of one engine, as its /health says; None: projected for `gpu`."""

    calls: int
    gpu: str = "L4"
    slots: int | None = None
    over_roofline: float = 4.0
    duty: float = 0.35
    overflow: float = 0.01
    cores_per_node: int = 8
    embedded_models: bool = False
    call_s: float = 180.0
    base_share: float = 0.2
    ramp_s: int = 3_600
    cold_start_s: int = 180
    sync_s: int = 15
    target: float = 0.7
    refused: float = 0.001
    node_price: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    slots: int
    slots_are: str  # "given", or how they were projected
    calls_by_engine: int
    calls_by_cores: int
    calls_per_worker: int
    bound_by: str
    most_workers: int
    least_workers: int
    surge: Outcome
    cost_per_call_hour: float | None


def plan(question: Question) -> Plan:
    """One worker pod per GPU node, its engine beside it. ValueError names what cannot be."""
    if question.calls < 1:
        raise ValueError(f"--calls is {question.calls}; at least 1")
    if question.slots is None and question.gpu not in CARDS:
        raise ValueError(
            f"--gpu is {question.gpu!r}; known: {', '.join(CARDS)}; or give --slots, from the engine's /health"
        )
    slots = question.slots or projected_slots(CARDS[question.gpu], question.over_roofline)
    if slots < 1:
        raise ValueError(
            f"one {question.gpu} at {question.over_roofline:g} times its roofline says nothing in real time"
        )
    by_engine = calls_per_engine(slots, question.duty, question.overflow)
    per_call = CORES_PER_CALL_EMBEDDED if question.embedded_models else CORES_PER_CALL_REMOTE
    by_cores = int(question.cores_per_node / per_call)
    if by_cores < 1:
        raise ValueError(f"--cores is {question.cores_per_node}; a call takes {per_call:g}")
    per_worker = min(by_engine, by_cores)
    most = max(LEAST, math.ceil(question.calls / (per_worker * question.target))) + 1
    fleet = Fleet(per_worker, question.target, 1, most, question.sync_s, question.cold_start_s)
    surge = Surge(question.calls * question.base_share, question.calls, question.ramp_s, question.call_s)
    least = max(LEAST, least_workers(fleet, surge, question.refused))
    outcome = simulate(Fleet(per_worker, question.target, least, most, question.sync_s, question.cold_start_s), surge)
    cost = None if question.node_price is None else outcome.worker_hours * question.node_price / outcome.call_hours
    return Plan(
        slots=slots,
        slots_are="given" if question.slots else f"projected: {question.over_roofline:g} times the card's roofline",
        calls_by_engine=by_engine,
        calls_by_cores=by_cores,
        calls_per_worker=per_worker,
        bound_by="the engine's slots" if by_engine <= by_cores else "the node's cores",
        most_workers=most,
        least_workers=least,
        surge=outcome,
        cost_per_call_hour=cost,
    )
