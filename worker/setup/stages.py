"""The stages of `make test`: each a program of `.venv`, run to its end, timed and counted. All run, whatever fails."""

from __future__ import annotations

import os
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from worker.setup.places import ROOT, VENV

DEADLINE_S = 2700.0  # half of what one CI run may take
RESULTS = ROOT / "build" / "test"


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    command: tuple[str, ...]
    counts: bool = False  # a pytest run: its results are counted


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    code: int
    time_s: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ok(self) -> bool:
        return self.code == 0


def pytest(name: str, marks: str, *more: str) -> Stage:
    return Stage(name, ("pytest", "-m", marks, f"--junitxml={RESULTS / name}.xml", *more), counts=True)


LINT = Stage("lint", ("ruff", "check", "--quiet"))
FORMAT = Stage("format", ("ruff", "format", "--check", "--quiet"))
TYPES = Stage("types", ("mypy",))
IMPORTS = Stage("import rules", ("lint-imports",))
UNIT = pytest(
    "unit", "not system and not browser and not fault and not phone and not deploy and not contract and not k8s"
)
SYSTEM = pytest("system", "system and not browser and not fault and not phone and not contract")
CONTRACT = pytest("contract", "contract")
BROWSER = pytest("browser", "browser")
PHONE = pytest("phone", "phone")
DEPLOY = pytest("deploy", "deploy")
K8S = pytest("k8s", "k8s", "-s", "tests/k8s")
FAULT = pytest("fault", "fault and not long and not soak", "-s", "tests/fault")
ALL_FAULTS = pytest("fault", "fault and not soak", "-s", "tests/fault")
SOAK = pytest("soak", "soak", "-s", "tests/fault")
STATIC = (LINT, FORMAT, TYPES, IMPORTS)
ALL = (*STATIC, UNIT, CONTRACT, SYSTEM, FAULT, BROWSER, PHONE, DEPLOY)


def run_all(stages: tuple[Stage, ...]) -> int:
    """Run every stage, print a table and the sum of all tests. 0 only when every stage passed."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    outcomes = [run(stage) for stage in stages]
    print(f"\n{table(outcomes)}")
    if any(stage.counts for stage in stages):
        print(f"\n{closing_line(outcomes)}", flush=True)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def run(stage: Stage) -> Outcome:
    """Its output goes straight to the terminal."""
    print(f"\n=== {stage.name}: {' '.join(stage.command)}", flush=True)
    started = time.monotonic()
    results = RESULTS / f"{stage.name}.xml"
    results.unlink(missing_ok=True)
    code = _run_program(stage)
    counted = count(results) if stage.counts else (0, 0, 0)
    outcome = Outcome(stage.name, code, time.monotonic() - started, *counted)
    print(f"=== {stage.name}: {_verdict(outcome)} in {outcome.time_s:.1f} s", flush=True)
    return outcome


def count(results: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped of a JUnit file; nothing passed where there is none."""
    try:
        suites = ElementTree.parse(results).getroot().iter("testsuite")  # noqa: S314 - our own pytest wrote it
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def table(outcomes: list[Outcome]) -> str:
    rows = [f"{'stage':<14}{'result':<10}{'seconds':>8}{'passed':>8}{'failed':>8}{'skipped':>9}"]
    for o in outcomes:
        rows.append(f"{o.name:<14}{_verdict(o):<10}{o.time_s:>8.1f}{o.passed:>8}{o.failed:>8}{o.skipped:>9}")
    rows.append(f"{'all':<14}{'':<10}{sum(o.time_s for o in outcomes):>8.1f}")
    return "\n".join(rows)


def closing_line(outcomes: list[Outcome]) -> str:
    return (
        f"{sum(o.passed for o in outcomes)} passed, {sum(o.failed for o in outcomes)} failed, "
        f"{sum(o.skipped for o in outcomes)} skipped"
    )


def _verdict(outcome: Outcome) -> str:
    if outcome.code == 5 and outcome.passed == 0:
        return "NO TEST"
    return "ok" if outcome.ok else "FAILED"


def _run_program(stage: Stage) -> int:
    program, *arguments = stage.command
    env = os.environ | {"PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    process = subprocess.Popen([VENV / "bin" / program, *arguments], cwd=ROOT, env=env, stdin=subprocess.DEVNULL)
    try:
        return process.wait(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        print(f"{stage.name} was not done after {DEADLINE_S:.0f} s and was stopped", flush=True)
        return 1
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
