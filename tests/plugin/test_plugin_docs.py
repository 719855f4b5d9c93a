"""docs/plugin.md says what is true."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest
from livekit.agents import AgentServer
from livekit.plugins import vibevoice

from tts_plugin.exchange import as_api_error
from tts_plugin.handle import EngineFailed
from tts_plugin.patience import ENOUGH_CHARS
from tts_plugin.protocol import FailureCode

DOC = (Path(__file__).parents[2] / "docs" / "plugin.md").read_text()


def test_every_option_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", DOC, re.M))
    options = {
        name: p.default for name, p in inspect.signature(vibevoice.TTS).parameters.items() if p.kind is p.KEYWORD_ONLY
    }
    assert rows.keys() == options.keys()
    for name, default in options.items():
        if isinstance(default, str):
            assert rows[name] == f"`{default}`"
        elif isinstance(default, float):
            assert rows[name] == f"{default:g} s"


def test_the_example_makes_a_server() -> None:
    code = re.search(r"```python\n(.*?)```", DOC, re.S)
    assert code
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(code[1], "docs/plugin.md", "exec"), names)
    assert isinstance(names["server"], AgentServer)


@pytest.mark.parametrize("code", get_args(FailureCode))
def test_every_failure_of_the_engine_is_one_of_the_documented_errors(code: FailureCode) -> None:
    error = as_api_error(EngineFailed(code, "made to fail", retryable=True))
    status = getattr(error, "status_code", None)
    row = next(
        line for line in DOC.splitlines() if line.startswith("| ") and _names(line, type(error).__name__, status)
    )
    assert row.rstrip(" |").split("| ")[-1].startswith(("yes", "if") if error.retryable else "no")


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"more than {ENOUGH_CHARS} characters" in DOC


def _names(line: str, error: str, status: int | None) -> bool:
    return f"`{error}`" in line and (status is None or f" {status}" in line)
