"""docs/protocol.md: its example runs, and it names everything there is."""

import asyncio
import re
import subprocess
import sys
import wave
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from tts_plugin import protocol


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "protocol.md").read_text(encoding="utf-8")


async def test_the_example_writes_a_sound_file(page: str, server_url: str, tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", page, re.S)
    assert example
    program = example.group(1).replace("http://127.0.0.1:8001", server_url)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=tmp_path, stderr=subprocess.PIPE)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors.decode()
    with wave.open(str(tmp_path / "hello.wav")) as file:
        assert file.getnframes() > 24_000


def test_every_message_and_every_failure_code_is_described(page: str) -> None:
    messages = [m.type for m in (*get_args(protocol.Up), *get_args(protocol.Down))]
    missing = [name for name in messages if f'"type":"{name}"' not in page]
    assert not missing + [code for code in get_args(protocol.FailureCode) if f"| `{code}` |" not in page]


def test_every_field_of_say_is_described(page: str) -> None:
    names = ["class" if f.name == "klass" else f.name for f in fields(protocol.Say)]
    assert not [name for name in names if f"| `{name}` |" not in page]
