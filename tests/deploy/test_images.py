"""The images, as far as they can be judged without a container engine: recipe, context, and their own install steps."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import image_recipe as recipe
import pytest
from typer.main import get_command

from worker import cli
from worker.setup import image
from worker.setup.places import ROOT

pytestmark = pytest.mark.deploy
STAGES = recipe.stages()
IMAGES = ("engine", "engine-cpu", "worker", "service")
DIGEST = re.compile(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, recipe.DOCKERFILE], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_base_is_pinned_by_digest() -> None:
    pinned = re.search(r"(?m)^ARG PYTHON=(.+)$", recipe.DOCKERFILE.read_text())
    assert pinned
    assert DIGEST.fullmatch(pinned[1])
    assert {stage.parent for stage in STAGES.values()} <= {"${PYTHON}", *STAGES}


def test_what_is_copied_is_there_and_in_the_context() -> None:
    sources = [source for pairs in map(recipe.copied, STAGES.values()) for names, _ in pairs for source in names]
    assert len(sources) >= 8
    for source in sources:
        files = [ROOT / source] if (ROOT / source).is_file() else [p for p in (ROOT / source).rglob("*") if p.is_file()]
        kept = [file for file in files if recipe.in_context(file)]
        assert kept, source
        assert not any("__pycache__" in file.parts for file in kept)


def test_nothing_private_is_in_the_context() -> None:
    for name in (".env", "api-keys.json", ".git/config", "tests/conftest.py", ".venv/pyvenv.cfg"):
        assert not recipe.in_context(ROOT / name), name


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_runs_one_command_of_ours_without_being_root(name: str) -> None:
    stage = STAGES[name]
    assert stage.all("USER") == ["10001:10001"]
    command = recipe.words(stage.all("CMD")[0])
    assert command[0] in get_command(cli.app).commands  # type: ignore[attr-defined]
    assert recipe.words(STAGES["runtime"].all("ENTRYPOINT")[0]) == ["tts-ops"]
    health = stage.all("HEALTHCHECK")[0]
    assert "worker.probe" in health
    assert {f":{port}/" in health for port in stage.all("EXPOSE")[0].split()} == {True}


def test_every_target_of_the_bake_file_is_a_stage_and_a_kind() -> None:
    bake = (ROOT / "deploy" / "docker" / "docker-bake.hcl").read_text()
    targets = re.findall(r'target\s+= "([a-z-]+)"\s+args\s+= \{ KIND = "([a-z-]+)" \}', bake)
    assert targets == [(name, name) for name in IMAGES]
    assert set(image.KINDS) == set(IMAGES)
    assert '["linux/amd64", "linux/arm64"]' in bake
    assert "type=sbom" in bake


def test_an_unknown_kind_is_told_which_there_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker.setup", "image-packages", "gpu"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "there is no image 'gpu'; there are engine, engine-cpu, worker, service" in done.stderr


@pytest.mark.timeout(420)
def test_the_install_steps_of_the_service_work_with_what_is_copied_and_it_answers(tmp_path: Path) -> None:
    build = STAGES["build"]
    runs = build.all("RUN")
    assert [re.sub(r"\s+", " ", run) for run in runs] == [
        'python -m worker.setup image-packages "${KIND}"',
        'python -m worker.setup image-project "${KIND}"',
    ]
    home = tmp_path / "app"
    for step in ("image-packages", "image-project"):
        recipe.copy_context(build, home, step)
        done = subprocess.run(
            [sys.executable, "-m", "worker.setup", step, "service"],
            cwd=home,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    bill = json.loads((home / "sbom.cdx.json").read_text())
    assert {"livekit-agents", "fastapi", "tts-ops"} <= {part["name"] for part in bill["components"]}
    assert not {"torch", "hibari-tts"} & {part["name"] for part in bill["components"]}
    _answers(home)


def _answers(home: Path) -> None:
    """The service starts from where it was installed, with nothing of this checkout, and its health check says so."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {"PATH": os.environ["PATH"], "HOME": str(home.parent), "HTTP_PORT": str(port), "HOST": "127.0.0.1"}
    subprocess.run([home / ".venv" / "bin" / "tts-ops", "secrets", home.parent / "secrets"], check=True, timeout=60)
    env |= {"SECRETS_DIR": str(home.parent / "secrets")}
    process = subprocess.Popen(
        [home / ".venv" / "bin" / "tts-ops", "serve"], cwd=home.parent, env=env, stdout=subprocess.PIPE, stderr=-2
    )
    try:
        probe = [home / ".venv" / "bin" / "python", "-m", "worker.probe", f"http://127.0.0.1:{port}/readyz"]
        deadline = time.monotonic() + 60
        while subprocess.run(probe, cwd=home, timeout=20).returncode != 0:
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/vendor/livekit-client.esm.mjs", timeout=10) as answer:
            assert len(answer.read()) > 100_000
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert b"<html" in answer.read()
    finally:
        process.terminate()
        process.communicate(timeout=20)
