"""docs/phone.md: its commands, settings and exit codes are those of the product."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from worker import cli
from worker.phone.outbound import BY_STATUS, CODES
from worker.settings import Settings


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "phone.md").read_text()


def test_every_setting_that_it_names_is_one(page: str) -> None:
    named = set(re.findall(r"\b((?:PHONE|SIP|MAX|AGENT)_[A-Z_]+)\b", page))
    assert len(named) >= 8
    assert {name for name in named if name.lower() not in Settings.model_fields} == set()


def test_every_command_that_it_names_is_one(page: str, root: Path) -> None:
    phone = get_command(cli.app).commands["phone"].commands  # type: ignore[attr-defined]
    assert set(re.findall(r"tts-ops phone (\w+)", page)) == set(phone)
    assert "PHONE=1" in page
    assert "$(PHONE)" in (root / "Makefile").read_text()


def test_its_exit_codes_are_those_of_a_call(page: str) -> None:
    rows = re.findall(r"(?m)^\| (\d+) \| [^|]+ \| ([^|]+) \|$", page)
    assert {int(code) for code, _ in rows} == {*CODES.values(), 1}
    for code, told in rows:
        for status in map(int, re.findall(r"\b\d{3}\b", told)):
            if status in BY_STATUS:
                assert CODES[BY_STATUS[status]] == int(code), status


def test_its_links_lead_somewhere(page: str, root: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert link.startswith("https://") or (root / "docs" / link).resolve().exists(), link
