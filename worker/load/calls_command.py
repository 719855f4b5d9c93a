"""What `tts-ops load calls` does with its options, and what it prints."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from worker.bench import machine
from worker.load import report
from worker.load.calls import Run, Wanted, offer
from worker.load.figures import spread
from worker.load.http import tell


def run(wanted: Wanted, *, out: Path | None) -> int:
    """0: every caller that was let in was answered and nobody was cut off."""
    here = machine.describe()
    tell(f"{wanted.rooms} callers within {wanted.ramp_s:g} s, each for {wanted.duration_s:g} s, to {wanted.url}")
    done = asyncio.run(offer(wanted, tell))
    made = figures(done)
    print(told(made))  # noqa: T201
    for reason, count in Counter(one.reason for one in done.heard if one.outcome not in ("ok", "refused")).most_common(
        5
    ):
        tell(f"{count} × {reason}")
    if out is not None:
        page = report.write(out, f"{wanted.rooms} calls at once", made, here, _pictures(done))
        tell(f"wrote {page} and report.json beside it")
    return 0 if all(one.outcome in ("ok", "refused") for one in done.heard) else 1


def figures(done: Run) -> dict[str, Any]:
    heard = done.heard
    audio_min = sum(one.audio_s for one in heard) / 60
    received = sum(one.received_samples for one in heard)
    return {
        "asked": asdict(done.wanted),
        "calls": {
            **Counter(one.outcome for one in heard),
            "peak": done.peak,
            "answers": sum(len(one.answers_s) for one in heard),
            "audio_minutes": round(audio_min, 2),
            "concealed_percent": round(100 * sum(one.concealed_samples for one in heard) / received, 3)
            if received
            else None,
        },
        "seconds": {
            "join": asdict(spread([one.join_s for one in heard if one.join_s is not None])),
            "agent": asdict(spread([one.agent_s for one in heard if one.agent_s is not None])),
            "answer": asdict(spread([s for one in heard for s in one.answers_s])),
            "interrupt": asdict(spread([s for one in heard for s in one.interrupts_s])),
            "refusal": asdict(spread([one.refusal_s for one in heard if one.refusal_s is not None])),
        },
        "machine_cost": asdict(done.footprint) | {"client_cores": done.client_cores},
    }


def told(made: Mapping[str, Any]) -> str:
    calls = ", ".join(f"{value} {name}" for name, value in made["calls"].items() if value is not None)
    cost = ", ".join(
        f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in made["machine_cost"].items()
        if value is not None
    )
    return f"\n{calls}\n{report.table(made['seconds'])}\n  {cost}\n"


def _pictures(done: Run) -> list[report.Picture]:
    if not report.can_draw():
        return []
    heard = done.heard
    return [
        report.histogram(
            "Until the agent is heard",
            {
                "joined": [one.join_s for one in heard if one.join_s is not None],
                "agent heard": [one.agent_s for one in heard if one.agent_s is not None],
                "answers": [s for one in heard for s in one.answers_s],
            },
        ),
        report.timeline(
            "Join time over the run", {"join": [(one.due_s, one.join_s) for one in heard if one.join_s is not None]}
        ),
    ]
