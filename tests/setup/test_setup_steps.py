"""Progress, programs that hang, stages and their sums."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from worker.setup import process, stages
from worker.setup.problem import Problem
from worker.setup.stages import Outcome
from worker.setup.steps import Steps


def clock(*times: float) -> object:
    return iter(times).__next__


def test_a_step_shows_its_number_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(6, clock=clock(0.0, 12.34))  # type: ignore[arg-type]
    with steps.step("Python packages"):
        pass
    assert capsys.readouterr().out == "[1/6] Python packages … 12.3 s\n"


def test_a_long_step_gives_signs_of_life(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(2, clock=clock(0.0, 20.0))  # type: ignore[arg-type]
    with steps.step("server"):
        steps.life("10 s  compiling")
    assert capsys.readouterr().out.splitlines() == ["[1/2] server …", "      10 s  compiling", "[1/2] server … 20.0 s"]


def test_a_failed_step_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Problem), Steps(1).step("server"):
        raise Problem("no")
    assert capsys.readouterr().out == "[1/1] server … failed\n"


def test_a_program_that_is_too_slow_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LIFE_EVERY_S", 0.1)
    signs: list[str] = []
    command = [sys.executable, "-c", "import time; print('at work', flush=True); time.sleep(600)"]
    started = time.monotonic()
    with pytest.raises(Problem, match="a nap was not done after 1 s"):
        process.execute("a nap", command, life=signs.append, deadline_s=1.0)
    assert time.monotonic() - started < 10
    assert any("at work" in sign for sign in signs)


def test_a_failing_program_is_told_by_its_last_words() -> None:
    command = [sys.executable, "-c", "print('x'); raise SystemExit('no cheese')"]
    with pytest.raises(Problem, match="the shop failed with code 1: no cheese"):
        process.execute("the shop", command, life=print)


def test_results_are_counted_from_pytests_own_file(tmp_path: Path) -> None:
    test = tmp_path / "test_x.py"
    test.write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n"
        "@pytest.mark.skip\ndef test_c(): pass\n@pytest.fixture\ndef bad(): raise OSError\ndef test_d(bad): pass\n"
    )
    results = tmp_path / "results.xml"
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "-q", str(test), f"--junitxml={results}"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=50)
    assert stages.count(results) == (1, 2, 1)


def test_a_stage_that_left_no_results_counts_nothing(tmp_path: Path) -> None:
    assert stages.count(tmp_path / "nothing.xml") == (0, 0, 0)


def test_the_last_line_is_the_sum_that_ci_reads() -> None:
    outcomes = [Outcome("unit", 0, 1.0, 10, 0, 1), Outcome("system", 1, 2.0, 3, 2, 0), Outcome("lint", 0, 1.0)]
    assert stages.closing_line(outcomes) == "13 passed, 2 failed, 1 skipped"


def test_the_table_shows_every_stage_with_its_time() -> None:
    text = stages.table([Outcome("lint", 0, 1.04), Outcome("system", 5, 2.0)])
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["lint", "ok", "1.0", "0", "0", "0"],
        ["system", "NO", "TEST", "2.0", "0", "0", "0"],
        ["all", "3.0"],
    ]


def a_venv_with(tmp_path: Path, **programs: int) -> Path:
    (tmp_path / "bin").mkdir()
    for name, code in programs.items():
        file = tmp_path / "bin" / name
        file.write_text(f"#!/bin/sh\nexit {code}\n")
        file.chmod(0o755)
    return tmp_path


def test_all_stages_run_and_one_failure_fails_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "VENV", a_venv_with(tmp_path, good=0, bad=1))
    monkeypatch.setattr(stages, "RESULTS", tmp_path / "results")
    assert stages.run_all((stages.Stage("bad", ("bad",)), stages.Stage("good", ("good",)))) == 1
    assert "=== good: ok" in capsys.readouterr().out
    assert stages.run_all((stages.Stage("good", ("good",)),)) == 0


def test_a_pytest_run_without_a_test_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "VENV", a_venv_with(tmp_path, pytest=5))
    monkeypatch.setattr(stages, "RESULTS", tmp_path / "results")
    assert stages.run_all((stages.pytest("system", "system"),)) == 1
    assert "NO TEST" in capsys.readouterr().out
