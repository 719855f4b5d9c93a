"""The locks: exact versions, hashes, and nobody's registry."""

import json
import re
from pathlib import Path

import pytest

LOCKS = ("call", "test", "llm", "uv", "go", "node")


def lines(root: Path, name: str) -> list[str]:
    return (root / "requirements" / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_no_address(root: Path, name: str) -> None:
    text = "\n".join(lines(root, name))
    assert "://" not in text
    assert "--index" not in text
    assert "--extra-index" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_an_exact_version_with_a_hash(root: Path, name: str) -> None:
    text = "\n".join(lines(root, name))
    entries = re.split(r"\n(?=[a-z])", text[text.index("\n", text.rindex("#    ", 0, text.index("=="))) :].strip())
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[^\s;]+( ;[^\\]*)? \\\n", entry), entry[:80]
        assert "--hash=sha256:" in entry


def test_the_tests_run_with_the_versions_of_a_call(root: Path) -> None:
    def pins(name: str) -> set[str]:
        return {line.split()[0] for line in lines(root, name) if "==" in line and not line.startswith((" ", "#"))}

    assert pins("call") <= pins("test")


@pytest.mark.parametrize("name", [name for name in LOCKS if name != "test"])
def test_a_call_needs_no_torch(root: Path, name: str) -> None:
    assert not [line for line in lines(root, name) if re.match(r"(torch|nvidia|llama-cpp)", line)]


def test_the_web_clients_lock_has_hashes_and_no_address(root: Path) -> None:
    text = (root / "web_demo" / "package-lock.json").read_text()
    packages = {name: p for name, p in json.loads(text)["packages"].items() if name}
    assert packages["node_modules/livekit-client"]["version"] == "2.23.0"
    assert not [name for name, p in packages.items() if not p["integrity"].startswith("sha512-")]
    assert "resolved" not in text


def test_the_web_client_is_asked_for_by_exact_version(root: Path) -> None:
    wanted = json.loads((root / "web_demo" / "package.json").read_text())["dependencies"]
    assert wanted == {"livekit-client": "2.23.0"}
