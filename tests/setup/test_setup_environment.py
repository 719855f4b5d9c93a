"""When the environment is made again, and when it is left alone."""

from pathlib import Path

import pytest

from worker.setup import environment, uv


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with an environment in it."""
    (tmp_path / "requirements").mkdir()
    for name in ("call", "cpu", "vibevoice", "test", "llm"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(name)
    (tmp_path / "pyproject.toml").write_text("[project]")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "REQUIREMENTS", tmp_path / "requirements")
    monkeypatch.setattr(environment, "VENV_PYTHON", python)
    monkeypatch.setattr(environment, "STAMP", tmp_path / ".venv" / "stamp")
    return tmp_path


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What uv was asked to install: it is not run."""
    kinds: list[str] = []
    monkeypatch.setattr(uv, "ensure", lambda _: Path("uv"))
    monkeypatch.setattr(environment, "_fits", lambda: True)
    monkeypatch.setattr(environment, "_sync", lambda _program, kind, _life: kinds.append(kind))
    return kinds


@pytest.mark.usefixtures("place")
def test_the_second_time_there_is_nothing_to_do(synced: list[str]) -> None:
    assert environment.ensure("call", print)
    assert not environment.ensure("call", print)
    assert synced == ["call"]


@pytest.mark.parametrize("changed", ["requirements/call.txt", "requirements/llm.txt", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed_again(place: Path, synced: list[str], changed: str) -> None:
    environment.ensure("call", print)
    (place / changed).write_text("changed")
    assert environment.ensure("call", print)
    assert synced == ["call", "call"]


@pytest.mark.usefixtures("place")
def test_the_tests_environment_is_enough_for_a_call(synced: list[str]) -> None:
    environment.ensure("test", print)
    assert not environment.ensure("call", print)
    assert synced == ["test"]


@pytest.mark.usefixtures("place")
def test_a_calls_environment_is_not_enough_for_the_tests(synced: list[str]) -> None:
    environment.ensure("call", print)
    assert environment.ensure("test", print)
    assert synced == ["call", "test"]


def test_a_stale_tests_environment_stays_one(place: Path, synced: list[str]) -> None:
    environment.ensure("test", print)
    (place / "pyproject.toml").write_text("changed")
    environment.ensure("call", print)
    assert synced == ["test", "test"]


def test_an_environment_whose_python_is_gone_is_made_again(place: Path, synced: list[str]) -> None:
    environment.ensure("call", print)
    (place / ".venv" / "bin" / "python").unlink()
    assert not environment.is_current("call")


def test_an_environment_of_another_python_does_not_fit(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "VENV", place / ".venv")
    (place / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.9.2\n")
    assert not environment._fits()
    import platform

    (place / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion_info = {platform.python_version()}\n")
    assert environment._fits()


@pytest.mark.usefixtures("place")
def test_vibevoices_environment_is_enough_for_a_call_but_not_for_the_tests(synced: list[str]) -> None:
    environment.ensure("vibevoice", print)
    assert not environment.ensure("call", print)
    assert environment.ensure("test", print)
    assert synced == ["vibevoice", "test"]


@pytest.mark.usefixtures("place")
def test_torchs_environment_is_enough_for_a_cpu_and_grows_out_of_its(synced: list[str]) -> None:
    environment.ensure("cpu", print)
    assert not environment.ensure("call", print)
    environment.ensure("vibevoice", print)
    assert not environment.ensure("cpu", print)
    assert synced == ["cpu", "vibevoice"]


@pytest.mark.usefixtures("place")
def test_a_larger_environment_is_never_made_smaller(place: Path, synced: list[str]) -> None:
    environment.ensure("vibevoice", print)
    (place / "pyproject.toml").write_text("changed")
    environment.ensure("call", print)
    assert synced == ["vibevoice", "vibevoice"]
