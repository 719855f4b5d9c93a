"""What `tts-ops plan` prints."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from worker.plan.sizing import Plan, Question, plan


def run(question: Question, *, as_json: bool = False) -> int:
    """Exit code."""
    try:
        made = plan(question)
    except ValueError as error:
        print(f"tts-ops plan: {error}", file=sys.stderr)  # noqa: T201
        return 2
    print(json.dumps({"asked": asdict(question), "plan": asdict(made)}, indent=1) if as_json else told(question, made))  # noqa: T201
    return 0


def told(question: Question, made: Plan) -> str:
    surge = made.surge
    rows = [
        ("utterances at once, one engine", f"{made.slots}", made.slots_are),
        ("calls, by the engine", f"{made.calls_by_engine}", f"agents speak {question.duty:.0%} of a call; more than "
         f"the slots at once {question.overflow:.1%} of the time, then the standby voice speaks"),
        ("calls, by the cores", f"{made.calls_by_cores}", f"{question.cores_per_node} cores a node"),
        ("calls per worker", f"{made.calls_per_worker}", f"bound by {made.bound_by}"),
        ("workers at the peak", f"{surge.most_workers}", f"occupancy kept at {question.target:.0%}"),
        ("minReplicas", f"{made.least_workers}", f"at most {question.refused:.2%} are refused while calls grow from "
         f"{question.base_share:.0%} in {question.ramp_s / 60:g} min; a new worker takes {question.cold_start_s} s"),
        ("maxReplicas", f"{made.most_workers}", "one spare"),
        ("refused in that surge", f"{surge.refused}", f"of {surge.arrived:,} callers, simulated"),
        ("node hours per call hour", f"{surge.worker_hours / surge.call_hours:.4f}", "in that surge"),
    ]  # fmt: skip
    if made.cost_per_call_hour is not None:
        rows.append(("cost per call hour", f"{made.cost_per_call_hour:.4f}", f"at {question.node_price:g} a node hour"))
    head = f"{question.calls:,} calls at once on {question.gpu if question.slots is None else 'the given engines'}\n"
    return head + "\n".join(f"  {name:<32}{value:>8}  {why}" for name, value, why in rows)
