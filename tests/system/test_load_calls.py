"""`tts-ops load calls` against a real installation: everybody is let in and answered, or told that there is no room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from worker.bench.scripted_llm import Reply
from worker.load.calls import Run, Wanted
from worker.load.calls_command import figures
from worker.load.footprint import Footprint
from worker.load.one_call import Heard


def loaded(stack, out: Path, *options: str) -> dict:  # type: ignore[no-untyped-def,type-arg]
    command = [
        sys.executable,
        "-m",
        "worker.cli",
        "load",
        "calls",
        "--url",
        stack.http_url,
        "--out",
        str(out),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=80, env=stack.env)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((out / "report.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.timeout(110, method="signal")
def test_callers_are_answered_and_what_they_cost_is_measured(stack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stack.scripted.script = lambda _: Reply("Yes, of course.")
    told = loaded(stack, tmp_path, "--rooms", "2", "--duration", "6", "--ramp", "1", "--interrupt-every", "2")
    assert told["calls"]["ok"] == 2
    assert told["calls"]["peak"] == 2
    assert told["calls"]["answers"] >= 2
    assert told["calls"]["audio_minutes"] > 0
    assert told["calls"]["concealed_percent"] is not None
    for name in ("join", "agent", "answer"):
        assert told["seconds"][name]["n"] >= 2, name
        assert 0 < told["seconds"][name]["p50"] < 20, name
    cost = told["machine_cost"]
    assert cost["cores"] > 0
    assert cost["memory_mb"] > cost["memory_mb_per_call"] > 0
    assert (tmp_path / "report.html").read_text().count("data:image/png") == 2


@pytest.mark.timeout(110, method="signal")
def test_those_beyond_the_room_are_refused_and_nobody_fails(stack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stack.scripted.script = lambda _: Reply("Yes, of course.")
    room = stack.fleet()["capacity"]
    told = loaded(stack, tmp_path, "--rooms", str(room + 3), "--duration", "4", "--ramp", "0")
    assert (told["calls"]["ok"], told["calls"]["refused"]) == (room, 3)
    assert told["seconds"]["refusal"]["n"] == 3


def test_a_call_that_was_cut_or_found_no_agent_is_no_success() -> None:
    heard = (Heard(0, join_s=0.5, agent_s=1.0), Heard(1, outcome="cut"), Heard(2, outcome="refused", refusal_s=0.01))
    nothing = Footprint(0, None, None, None, None, None)
    made = figures(Run(Wanted("http://nowhere", 3, 10, 2), heard, 12, 1, nothing, 0.1))
    assert (made["calls"]["ok"], made["calls"]["cut"], made["calls"]["refused"]) == (1, 1, 1)
    assert made["calls"]["concealed_percent"] is None
    assert made["seconds"]["refusal"]["p99"] == 0.01
