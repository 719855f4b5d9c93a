"""`tts-ops bench call`: which scenarios run, on which installation, and what is written at the end.

An installation that runs on HTTP_PORT is measured as it is; where none answers, one is started. Scenarios that need to
know the language model's words get an installation of their own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil

from tts_plugin import __version__
from worker.bench import machine, scripted, spoken
from worker.bench.caller import Missed
from worker.bench.figures import Result, table, waterfall
from worker.bench.invitation import Refused
from worker.bench.scripted_llm import scripted_llm
from worker.bench.stack import EMBEDDED, StackError, running_stack
from worker.settings import Settings, SettingsError

AS_IT_IS = ("voice", "pauses", "memory")
SCRIPTED = ("text", "barge-in")
SCENARIOS = (*AS_IT_IS, *SCRIPTED, "start")
BUSY_PERCENT = 20.0  # above this, others' work shows in the figures


class Target(NamedTuple):
    """An installation that is measured."""

    http_url: str
    processes: Callable[[], list[psutil.Process]]
    started_here: bool


def run(settings: Settings, *, turns: int = 20, json_path: Path | None = None, scenarios: Sequence[str] = ()) -> int:
    """Measure and print; 0 when every turn of every scenario was answered, else 1."""
    wanted = _checked(scenarios)
    logging.getLogger("livekit").setLevel(logging.ERROR)  # its comings and goings are not what is measured
    here = machine.describe()
    if here.busy_percent > BUSY_PERCENT:
        _progress("bench", "this machine is busy with other things: the figures will be worse than they need be")
    try:
        results = list(_measure(settings, turns, wanted))
    except (StackError, Missed, Refused, aiohttp.ClientError, TimeoutError) as error:
        print(f"tts-ops bench: {error or type(error).__name__}", file=sys.stderr)
        return 1
    _write(here, results, turns)
    if json_path is not None:
        _write_json(json_path, here, results)
    return int(any(r.failed for r in results))


def _checked(scenarios: Sequence[str]) -> tuple[str, ...]:
    if unknown := [s for s in scenarios if s not in SCENARIOS]:
        raise SettingsError(f"--scenario is {unknown[0]!r}; allowed: {', '.join(SCENARIOS)}")
    return tuple(scenarios) or SCENARIOS


def _measure(settings: Settings, turns: int, wanted: tuple[str, ...]) -> Iterator[Result]:
    if any(s in wanted for s in AS_IT_IS):
        with _target(settings) as target:
            yield from (_as_it_is(name, target, turns) for name in AS_IT_IS if name in wanted)
    if any(s in wanted for s in SCRIPTED):
        yield from _with_script([s for s in SCRIPTED if s in wanted], turns)
    if "start" in wanted:
        yield machine.start(_progress_of("start"))


def _as_it_is(name: str, target: Target, turns: int) -> Result:
    progress = _progress_of(name)
    if name == "voice":
        return asyncio.run(spoken.voice(target.http_url, turns, progress))
    if name == "pauses":
        return asyncio.run(spoken.pauses(target.http_url, turns, progress))
    return asyncio.run(machine.memory(target.http_url, target.processes(), progress))


def _with_script(names: Sequence[str], turns: int) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="tts-ops-bench-") as folder, scripted_llm() as llm:
        _progress("bench", "starting an installation with a scripted language model")
        env = EMBEDDED | {
            "LLM_PROVIDER": "local",
            "OPENAI_BASE_URL": llm.url,
            "OPENAI_API_KEY": "",
            "ANTHROPIC_API_KEY": "",
        }
        with running_stack(Path(folder) / "dev.log", env) as stack:
            if "text" in names:
                yield asyncio.run(scripted.text(stack.http_url, llm, turns, _progress_of("text")))
            if "barge-in" in names:
                count = max(5, turns // 2)
                yield asyncio.run(scripted.barge_in(stack.http_url, llm, count, _progress_of("barge-in")))


@contextmanager
def _target(settings: Settings) -> Iterator[Target]:
    url = f"http://127.0.0.1:{settings.http_port}"
    if asyncio.run(_answers(url)):
        _progress("bench", f"measuring the installation at {url}")
        yield Target(url, lambda: machine.tree_of(settings.http_port), started_here=False)
        return
    with tempfile.TemporaryDirectory(prefix="tts-ops-bench-") as folder:
        _progress("bench", f"nothing answers at {url}: starting an installation with everything embedded")
        with running_stack(Path(folder) / "dev.log", EMBEDDED) as stack:
            yield Target(stack.http_url, stack.processes, started_here=True)


async def _answers(url: str) -> bool:
    try:
        timeout = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(f"{url}/health") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _write_json(path: Path, here: machine.Machine, results: list[Result]) -> None:
    about = {"version": __version__, "date": _today(), "machine": asdict(here)}
    path.write_text(json.dumps(about | {"results": [r.as_dict() for r in results]}, indent=1) + "\n")


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def _write(here: machine.Machine, results: list[Result], turns: int) -> None:
    print(
        f"\n`tts-ops bench call --turns {turns}`, tts-ops {__version__}, {_today()}; {here.cores} cores {here.cpu}, ",
        end="",
    )
    print(f"{here.memory_gib} GiB, {here.busy_percent:.0f} % busy before.")
    print("Percentiles are nearest ranks: with fewer than 20 samples p95 is the worst one.\n")
    print(table(results))
    for result in results:
        if any(result.waterfall.values()):
            print(f"\n{result.scenario}, stage by stage:\n\n{waterfall(result.waterfall)}")
        if result.notes or result.failed:
            notes = [*result.notes, *([f"{result.failed} turns were not answered"] if result.failed else [])]
            print(f"\n{result.scenario}:\n" + "\n".join(f"- {note}" for note in notes))


def _progress_of(scenario: str) -> Callable[[str], None]:
    return lambda line: _progress(scenario, line)


def _progress(scenario: str, line: str) -> None:
    print(f"{scenario}: {line}", file=sys.stderr, flush=True)
