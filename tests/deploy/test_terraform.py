"""deploy/terraform, with the tool that reads it where there is one, and against the chart that it installs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from worker.setup.places import ROOT

pytestmark = pytest.mark.deploy
FOLDER = ROOT / "deploy" / "terraform"
CHART = ROOT / "deploy" / "helm" / "voice-agent"


@pytest.fixture(scope="module")
def tool() -> str:
    found = shutil.which("tofu") or shutil.which("terraform")
    if found is None:
        pytest.skip("neither tofu nor terraform is on PATH; neither can be had from a package index")
    return found


def test_it_is_formatted(tool: str) -> None:
    done = subprocess.run(
        [tool, "fmt", "-check", "-diff", "-recursive", FOLDER], capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.timeout(300)
def test_it_is_valid(tool: str, tmp_path: Path) -> None:
    copy = tmp_path / "terraform"
    shutil.copytree(FOLDER, copy)
    init = [tool, f"-chdir={copy}", "init", "-backend=false", "-input=false", "-no-color"]
    done = subprocess.run(init, capture_output=True, text=True, timeout=200)
    if done.returncode != 0:
        pytest.skip(f"{Path(tool).name} cannot fetch the providers here")
    done = subprocess.run([tool, f"-chdir={copy}", "validate", "-no-color"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_variable_is_used_and_every_used_one_is_declared() -> None:
    text = {path.name: path.read_text() for path in FOLDER.glob("*.tf")}
    declared = set(re.findall(r'(?m)^variable "(\w+)"', text["variables.tf"]))
    used = set(re.findall(r"\bvar\.(\w+)", "".join(text.values())))
    assert declared == used


def test_every_resource_that_is_named_exists() -> None:
    text = "".join(path.read_text() for path in FOLDER.glob("*.tf"))
    made = {f"{kind}.{name}" for kind, name in re.findall(r'(?m)^resource "(\w+)" "(\w+)"', text)}
    named = set(re.findall(r"(?<![\w.])((?:aws|kubernetes|helm|random)_[a-z_]+\.[a-z_]+)\b", text))
    assert named <= made


def test_the_values_it_sets_are_values_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = (FOLDER / "voice_agent.tf").read_text()
    ours = text[text.index("values-production.yaml") :]
    for group, inner in re.findall(r"(?m)^      (\w+)\s+= \{(.*?)(?:\}\n|^      \})", ours, re.DOTALL):
        assert group in values, group
        for key in re.findall(r"(?:^|[,{\n])\s*(\w+)\s+= ", f"{{{inner}"):
            assert key in values[group] or key in ("key", "operator", "effect"), (group, key)
