"""What the worker asks of LiveKit's server, and what its parts are told."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tts_plugin
import worker
from worker.agent_server import Worker
from worker.settings import Settings

SECRET = "a-secret-of-at-least-thirty-two-characters"


def made(**values: Any) -> Worker:
    return Worker(Settings(_env_file=None, livekit_api_secret=SECRET, **values))


class Request:
    """LiveKit's offer of a job."""

    def __init__(self, room: str, *, lost: bool = False) -> None:
        self.id = f"AJ_{room}"
        self.room = SimpleNamespace(name=room)
        self.answer: str | None = None
        self._lost = lost

    async def accept(self, *, name: str) -> None:
        if self._lost:
            raise TimeoutError("LiveKit gave the job to somebody else")
        self.answer = "accepted"

    async def reject(self, *, terminate: bool) -> None:
        self.answer = f"rejected, terminate={terminate}"


@pytest.fixture
def fleet_of_two() -> Worker:
    return made(max_calls=2)


def test_a_job_has_a_memory_limit_and_a_warning_before_it() -> None:
    server = made(job_memory_limit_mb=1000)._server
    assert (server._job_memory_limit_mb, server._job_memory_warn_mb) == (1000, 800)


def test_without_a_limit_there_is_no_warning_either() -> None:
    server = made(job_memory_limit_mb=0)._server
    assert (server._job_memory_limit_mb, server._job_memory_warn_mb) == (0, 0)


async def test_of_a_burst_exactly_the_capacity_is_accepted_and_the_rest_left_to_others(fleet_of_two: Worker) -> None:
    offers = [Request(f"room-{n}") for n in range(6)]
    for offer in offers:
        await fleet_of_two._on_request(offer)  # type: ignore[arg-type]
    assert [offer.answer for offer in offers] == ["accepted"] * 2 + ["rejected, terminate=False"] * 4
    text = fleet_of_two._metrics.render().decode()
    assert 'voice_calls_refused_total{door="job",reason="at_capacity"} 4.0' in text


async def test_a_job_whose_caller_has_a_token_goes_before_others(fleet_of_two: Worker) -> None:
    assert [fleet_of_two._reserve(room) for room in ("one", "two", "three")] == [None, None, "at_capacity"]
    stranger, expected = Request("four"), Request("two")
    for offer in (stranger, expected):
        await fleet_of_two._on_request(offer)  # type: ignore[arg-type]
    assert (stranger.answer, expected.answer) == ("rejected, terminate=False", "accepted")
    assert 'voice_calls_refused_total{door="token",reason="at_capacity"} 1.0' in fleet_of_two._metrics.render().decode()


async def test_a_job_that_livekit_takes_back_frees_its_place(fleet_of_two: Worker) -> None:
    with pytest.raises(TimeoutError):
        await fleet_of_two._on_request(Request("one", lost=True))  # type: ignore[arg-type]
    assert fleet_of_two._describe()["free"] == 2


def test_fleet_names_rooms_whose_job_has_not_reported_yet(fleet_of_two: Worker) -> None:
    fleet_of_two._admission.admit("one")
    said = fleet_of_two._describe()
    assert (said["starting"], said["active"], said["jobs"]) == (["one"], 1, [])


def test_every_task_has_a_name() -> None:
    """So that whoever finds one left over knows whose it is."""
    nameless = [
        f"{path.name}:{node.lineno}"
        for package in (worker, tts_plugin)
        for path in Path(package.__file__ or "").parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("create_task", "ensure_future"))
        and not any(keyword.arg == "name" for keyword in node.keywords)
    ]
    assert nameless == []
