"""The live service against its own description: schemathesis asks what /openapi.json allows, and what it does not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from http_parts import Engine, Start, StartFleet

from worker.bench.scripted_llm import ScriptedLlm
from worker.keys import KeyFile

pytestmark = pytest.mark.contract
SEED = "20261125"
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "40")
WITHIN_S = 240.0


@pytest.mark.timeout(300)
async def test_every_answer_is_one_that_the_description_names(
    start: Start,
    start_fleet: StartFleet,
    start_engine: Callable[..., Engine],
    scripted: ScriptedLlm,
    models_url: str,
    tmp_path: Path,
    build_dir: Path,
) -> None:
    keys = tmp_path / "api-keys.json"
    _, key = KeyFile(keys).add("contract")
    fleet = await start_fleet()
    fleet.says["capacity"] = 1_000_000
    scripted.answer("Good morning to you too.")
    service = await start(
        engine_url=start_engine().url,
        openai_base_url=scripted.url,
        models_url=models_url,
        worker_urls=(fleet.url,),
        api_keys_file=keys,
        open_on_loopback=False,
        rate_per_minute=1_000_000,
        synthesize_max_chars=200,
    )
    report = build_dir / "test" / "schemathesis.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{service.url}/openapi.json",
        f"--header=Authorization: Bearer {key}",
        "--phases=examples,coverage,fuzzing",
        f"--max-examples={EXAMPLES}",
        f"--seed={SEED}",
        "--checks=all",
        "--exclude-checks=positive_data_acceptance",  # a voice that is a right name may still be nobody's
        "--request-timeout=30",
        "--workers=1",
        "--no-color",
        "--continue-on-failure",
        f"--report-junit-path={report}",
        "--report=junit",
    ]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=-1, stderr=-2)
    out, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode == 0, out.decode()[-12_000:]
    tried = {case.get("name") for case in ElementTree.parse(report).getroot().iter("testcase")}
    async with service.client.get("/openapi.json") as answer:
        described = json.loads(await answer.read())
    assert {f"{m.upper()} {p}" for p, methods in described["paths"].items() for m in methods} <= tried


async def test_the_description_is_openapi_3_1_and_every_error_in_it_is_a_problem(start: Start) -> None:
    service = await start()
    async with service.client.get("/openapi.json") as answer:
        told = await answer.json()
    assert told["openapi"].startswith("3.1")
    for path, methods in told["paths"].items():
        for operation in methods.values():
            for status, answered in operation["responses"].items():
                if int(status) >= 400:
                    assert "application/problem+json" in answered["content"], (path, status)


async def test_every_route_says_what_it_is_for_in_words_of_its_own(start: Start) -> None:
    service = await start()
    async with service.client.get("/openapi.json") as answer:
        told = await answer.json()
    summaries = [operation["summary"] for methods in told["paths"].values() for operation in methods.values()]
    assert all(len(summary) > 10 for summary in summaries), summaries
    assert len(set(summaries)) == len(summaries)
