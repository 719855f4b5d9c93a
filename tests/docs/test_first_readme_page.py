"""docs/coming-from-the-first-readme.md: what its right-hand columns name is there, and the old commands work."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from worker import cli
from worker.settings import Settings

VARIABLES = (
    "TTS_MODEL_NAME",
    "TTS_DEVICE",
    "TTS_MAX_BATCH_SIZE",
    "LLM_PROVIDER",
    "LLM_MODEL",
    "LOG_LEVEL",
    "METRICS_PORT",
)
METRICS = (
    "tts_request_duration_seconds",
    "tts_time_to_first_audio_seconds",
    "tts_requests_total",
    "tts_gpu_utilization_percent",
    "tts_model_load_time_seconds",
)


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "coming-from-the-first-readme.md").read_text()


def test_every_place_it_names_is_there(page: str, root: Path) -> None:
    rows = re.findall(r"(?m)^\| `(?:src|infra)[^|]*\| `([^`]+)` \|$", page)
    assert len(rows) == 7
    for place in (*rows, "docker-compose.yml", "docker-compose.arm64.yml", "scripts/run_local_tts.sh"):
        assert (root / place).exists(), place


def test_every_page_it_links_to_is_there(page: str, root: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page)
    assert len(links) >= 6
    for link in links:
        assert (root / "docs" / link).resolve().exists(), link


def test_every_command_of_ours_is_one(page: str) -> None:
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]
    named = re.findall(r"`tts-ops ([a-z]+)(?: ([a-z]+))?", page)
    assert len(named) >= 6
    for word, below in named:
        assert word in commands, word
        if below and hasattr(commands[word], "commands"):
            assert below in commands[word].commands, (word, below)


def test_the_extra_of_the_first_install_command_exists(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["dev"]


def test_every_variable_and_metric_of_the_first_readme_keeps_its_name(page: str, root: Path) -> None:
    for name in VARIABLES:
        assert f"`{name}`" in page
        assert name.lower() in Settings.model_fields
    code = "".join(path.read_text() for folder in ("tts_plugin", "worker") for path in (root / folder).rglob("*.py"))
    for name in METRICS:
        assert f"`{name}`" in page
        assert re.search(rf'"{name.removesuffix("_total")}(?:_total)?"', code), name


@pytest.mark.parametrize("script", ["run_local_tts.sh", "run_local_agent.sh"])
def test_the_scripts_are_programs_that_start_commands_of_ours(root: Path, script: str) -> None:
    path = root / "scripts" / script
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", path], timeout=20).returncode == 0
    started = re.search(r"(?m)^exec \.venv/bin/tts-ops (\w+)$", path.read_text())
    assert started
    assert started[1] in get_command(cli.app).commands  # type: ignore[attr-defined]


def test_the_old_load_test_is_the_new_one(root: Path) -> None:
    command = [sys.executable, root / "scripts" / "load_test_tts.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env={"COLUMNS": "200", "PATH": ""})
    assert done.returncode == 0, done.stderr
    assert "--rps" in done.stdout
    assert "--duration" in done.stdout


def test_pytest_takes_the_old_option(root: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--co", "tests/integration", "--integration"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout
    assert "test_a_text_is_spoken_as_a_wav_file" in done.stdout
