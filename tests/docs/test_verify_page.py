"""docs/verify.md names every limit with its value, and every option of the two commands."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from worker.cli import app
from worker.verify.limits import Limits
from worker.verify.report import table


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "verify.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_is_on_the_page_with_its_value(name: str, page: str) -> None:
    value = getattr(Limits(), name)
    if name == "unheard_end_words":
        assert value == 1
        assert "no more than one word at the end" in page
    elif name == "clipped_share":
        assert f"≤ {value * 100:.2f} %" in page
    elif isinstance(value, tuple):
        assert "–".join(f"{bound:.1f}" for bound in value) in page
    else:
        assert re.search(rf"(?<![\d.]){re.escape(f'{value:g}'.replace('-', '−'))}0?(?![\d.]\d)", page), value


def test_every_column_of_the_report_is_explained(page: str) -> None:
    columns = [cell.strip() for cell in table([], Limits()).splitlines()[0].strip("|").split("|")]
    explained = page[page.index("## What the columns mean") :]
    for column in columns:
        assert column in ("voice", "verdict") or re.search(rf"^\| .*{re.escape(column)}", explained, re.M), column


def test_every_option_of_verify_is_on_the_page(page: str) -> None:
    command = get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    for parameter in command.commands["verify"].params:
        assert any(f"`{option}" in page for option in (*parameter.opts, *parameter.secondary_opts)), parameter.name
