"""The compose files: read by the library that docker compose reads them with, and compared with the tree."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import image_recipe as recipe
import pytest
import yaml
from typer.main import get_command

from worker import cli
from worker.secret_folder import make
from worker.settings import Settings
from worker.setup.charts import COMPOSE
from worker.setup.places import ROOT

pytestmark = pytest.mark.deploy
COMBINATIONS = [(), ("cpu",), ("arm64",), ("phone",), ("cpu", "phone")]
OURS = ("init", "engine", "model", "models", "worker", "service")
NOT_SETTINGS = {"SECRETS_DIR", "HF_TOKEN"}


def composed(*parts: str) -> dict[str, Any]:
    """What docker compose makes of the files. Fails where it would refuse them."""
    program = COMPOSE.find()
    assert program, "compose-go is not built: `make test` builds it"
    files = [ROOT / "docker-compose.yml", *(ROOT / f"docker-compose.{part}.yml" for part in parts)]
    done = subprocess.run([program, *files], capture_output=True, text=True, timeout=50, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = yaml.safe_load(done.stdout)
    return result


def variables(service: dict[str, Any]) -> dict[str, str]:
    """A service's environment, which is a list where files were merged."""
    given = service.get("environment", {})
    return dict(line.split("=", 1) for line in given) if isinstance(given, list) else given


@pytest.mark.parametrize("parts", COMBINATIONS)
def test_it_is_taken_and_everything_it_mounts_is_there(parts: tuple[str, ...]) -> None:
    for name, service in composed(*parts)["services"].items():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert Path(mount["source"]).exists(), (name, mount["source"])


@pytest.mark.parametrize("parts", COMBINATIONS)
def test_no_container_is_root_can_write_its_image_or_gain_rights(parts: tuple[str, ...]) -> None:
    for name, service in composed(*parts)["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name


def test_images_of_others_are_pinned_by_digest() -> None:
    for name, service in composed("phone")["services"].items():
        if name not in OURS:
            assert re.fullmatch(r"[a-z/-]+:[\w.-]+@sha256:[0-9a-f]{64}", service["image"]), name


def test_what_is_started_is_a_command_of_ours() -> None:
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]
    stages = recipe.stages()
    services = composed()["services"]
    for name in OURS:
        command = services[name].get("command") or recipe.words(stages[services[name]["build"]["target"]].all("CMD")[0])
        command = shlex.split(command) if isinstance(command, str) else command
        assert command[0] in commands, name


def test_every_variable_is_a_setting() -> None:
    for name in OURS:
        for variable in variables(composed("cpu")["services"][name]):
            assert variable in NOT_SETTINGS or variable.lower() in Settings.model_fields, (name, variable)


def test_a_stop_waits_for_the_calls_under_way() -> None:
    for name in ("worker", "engine"):
        grace = composed()["services"][name]["stop_grace_period"]
        minutes = re.fullmatch(r"(\d+)m(0s)?", grace)
        assert minutes
        assert int(minutes[1]) * 60 >= Settings.model_fields["drain_timeout"].default + 60


def test_only_the_first_file_wants_a_graphics_card() -> None:
    assert composed()["services"]["engine"]["deploy"]["resources"]["reservations"]["devices"]
    for parts in (("cpu",), ("arm64",)):
        assert not composed(*parts)["services"]["engine"].get("deploy")


def test_nothing_is_published_beyond_this_machine_by_itself() -> None:
    for name, service in composed()["services"].items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


def test_the_files_of_secrets_are_named_as_compose_and_servers_read_them(tmp_path: Path) -> None:
    make(tmp_path, livekit_api_key="tts-ops")
    livekit = yaml.safe_load((ROOT / "deploy" / "docker" / "livekit.yaml").read_text())
    keys = yaml.safe_load((tmp_path / Path(livekit["key_file"]).name).read_text())
    assert livekit["webhook"]["api_key"] in keys
    said = variables(composed()["services"]["service"])
    assert said["LIVEKIT_API_KEY"] in keys
    assert len(keys["tts-ops"]) >= 32
    assert (tmp_path / Path(said["API_KEYS_FILE"]).name).exists()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_folder_of_secrets_is_read_as_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, livekit_api_key="tts-ops")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("LIVEKIT_API_SECRET", raising=False)
    settings = Settings(_env_file=None)
    assert settings.livekit_api_secret
    assert settings.livekit_api_secret.get_secret_value() == (tmp_path / "livekit_api_secret").read_text()
    assert settings.fleet_key


def test_secrets_are_made_once_and_the_key_is_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, livekit_api_key="tts-ops")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert capsys.readouterr().out.startswith("ttsops_")
    make(tmp_path, livekit_api_key="tts-ops")
    assert capsys.readouterr().out == ""
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
