"""Every failure of a set-up is one line that says what is wrong and how to mend it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.setup import commands, debian, environment, machine, uv
from worker.setup.problem import Problem, from_os_error, from_output

OLD_PYTHON = """
import collections, sys
Version = collections.namedtuple("Version", "major minor micro releaselevel serial")
sys.version_info = Version({}, {}, 0, "final", 0)
from worker.setup.__main__ import main
sys.exit(main(["call"]))
"""


@pytest.mark.parametrize("version", [(3, 6), (3, 10), (3, 15)])
def test_a_python_that_is_too_old_or_too_new_is_told_so(root: Path, version: tuple[int, int]) -> None:
    code = OLD_PYTHON.format(*version)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Python {version[0]}.{version[1]} cannot run this: Python 3.11 to 3.14 is needed" in done.stderr


def test_the_entry_file_uses_nothing_that_python_3_6_cannot_parse(root: Path) -> None:
    import ast

    for name in ("worker/__init__.py", "worker/setup/__init__.py", "worker/setup/__main__.py"):
        source = (root / name).read_text()
        ast.parse(source, feature_version=(3, 6))
        assert "annotations" not in source  # that __future__ is Python 3.7's


@pytest.mark.parametrize("name", ["python9", "false"])
def test_make_without_a_fitting_python_says_what_is_needed(root: Path, name: str) -> None:
    done = subprocess.run(["make", "call", f"PYTHON={name}"], cwd=root, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert "no Python from 3.11 to 3.14" in done.stderr.splitlines()[0]
    assert "apt install" in done.stderr.splitlines()[0]


def test_make_names_the_old_python_it_found(root: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    done = subprocess.run(["make", "call", f"PYTHON={old}"], cwd=root, capture_output=True, text=True, timeout=30)
    assert f"{old} is 3.9," in done.stderr


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full (/some/file): free some space"),
        (errno.EACCES, "no permission to write (/some/file)"),
        (errno.EROFS, "read-only"),
    ],
)
def test_an_error_of_the_system_is_one_line(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/some/file")

    monkeypatch.setattr(commands, "set_up", fail)
    assert commands.main(["setup"]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: failed to write\n  Caused by: No space left on device (os error 28)", "the disk is full"),
        ("dns error: failed to lookup address information", "check the network"),
        ("npm error code EAI_AGAIN", "check the network"),
        ("dial tcp: lookup some.host: no such host", "check the network"),
        ("× Hash mismatch for `aiohttp==3`", "does not have the pinned hash"),
        ("npm error code EINTEGRITY", "does not have the pinned hash"),
        ("verifying x@v1: checksum mismatch", "does not have the pinned hash"),
        ("  × Failed to build `soxr==1.1`\n error: gcc failed", "soxr==1.1 has no prebuilt package"),
        ("error: Permission denied (os error 13)", "no permission"),
        ("go: link: signal: killed", "out of memory"),
        ("some noise\nthe real reason\n\n", "failed with code 3: the real reason"),
        ("", "it printed nothing"),
    ],
)
def test_the_words_of_a_tool_become_one_line_with_a_cure(output: str, words: str) -> None:
    line = str(from_output("the tool", output, 3))
    assert line.startswith("the tool")
    assert words in line
    assert "\n" not in line


def test_any_other_error_of_the_system_keeps_its_words() -> None:
    assert str(from_os_error(OSError(errno.EIO, "Input/output error", "/x"))) == "Input/output error (/x)"


def test_an_old_c_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(machine, "_confstr", lambda _: "glibc 2.31")
    with pytest.raises(Problem, match=r"the C library is glibc 2.31, glibc 2.34 or newer is needed"):
        machine.check()


def test_a_c_library_that_is_not_glibc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(machine, "_confstr", lambda _: None)
    with pytest.raises(Problem, match="not glibc"):
        machine.check()


@pytest.mark.parametrize(("version", "kind"), [("14.6", "arm64"), ("15.1", "x86_64")])
def test_an_old_mac_is_told(version: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.mac_ver", lambda: (version, ("", "", ""), kind))
    monkeypatch.setattr("platform.machine", lambda: kind)
    with pytest.raises(Problem, match=f"macOS {version} on {kind}"):
        machine.check()


def test_too_little_disk_is_told_before_anything_is_installed() -> None:
    with pytest.raises(Problem, match=r"GB free in .*, the first set-up needs 1000000\.0 GB"):
        machine.check_disk(10**15)


def test_a_python_without_pip_and_venv_is_told_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uv, "find", lambda: None)
    monkeypatch.setattr(uv, "HOME", tmp_path / "uv")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Problem, match=rf"neither pip nor venv.*apt install python3.{sys.version_info.minor}-venv"):
        uv.ensure(print)


def test_a_failed_step_of_a_real_tool_leaves_no_stamp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "_fits", lambda: True)
    monkeypatch.setattr(uv, "ensure", lambda _: Path("/bin/false"))
    with pytest.raises(Problem, match="uv pip sync failed with code 1"):
        environment.ensure("call", print)
    assert not environment.STAMP.exists()


def test_an_unknown_word_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["fly"]) == 1
    assert "usage: python -m worker.setup" in capsys.readouterr().err


def test_the_doctor_makes_and_changes_no_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "VENV_PYTHON", tmp_path / "python")
    monkeypatch.setattr(environment, "ensure", lambda *_: pytest.fail("it was changed"))
    assert commands.main(["doctor"]) == 1
    assert "`make setup` makes it" in capsys.readouterr().err
    become: list[str] = []
    monkeypatch.setattr(commands, "_become", become.append)
    (tmp_path / "python").touch()
    assert commands.main(["doctor"]) == 0
    assert become == ["doctor"]


def test_without_openmp_it_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_openmp", lambda: False)
    monkeypatch.setattr(debian, "can_install", lambda: False)
    with pytest.raises(Problem, match=r"libgomp\.so\.1 is missing.*apt install libgomp1"):
        debian.ensure_openmp(print)


def test_openmp_is_looked_for_as_the_loader_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(name: str) -> None:
        assert name == "libgomp.so.1"
        raise OSError

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", not_there)
    assert not machine.has_openmp()
