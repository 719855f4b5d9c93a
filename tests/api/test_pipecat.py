"""pipecat's OpenAI TTS service speaks through /v1/audio/speech: the real package, in an environment of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from http_parts import Engine, Start

from worker.setup import pipecat

HELLO = "Hello, this is a short sentence."


@pytest.fixture(scope="module")
def python(missing: Callable[[str], NoReturn]) -> Path:
    if not pipecat.PYTHON.exists():
        missing("pipecat (.tools/pipecat, which `make test` sets up)")
    return pipecat.PYTHON


async def test_it_speaks_and_is_told_what_is_wrong(python: Path, start: Start, engine: Engine) -> None:
    service = await start(engine_url=engine.url, synthesize_max_chars=len(HELLO))
    right, wrong = await said(python, f"{service.url}/v1", "nova", HELLO, HELLO * 2)
    assert (right["errors"], right["rates"], right["started"], right["stopped"]) == ([], [24_000], 1, 1)
    assert 1.0 < right["bytes"] / 48_000 < 5.0
    assert wrong["bytes"] == 0
    assert any(f"at most {len(HELLO)} characters" in error for error in wrong["errors"])


async def said(python: Path, *words: str) -> list[dict[str, Any]]:
    script = Path(__file__).with_name("pipecat_says.py")
    process = await asyncio.create_subprocess_exec(
        str(python), str(script), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(50):
            out, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, log.decode()[-2_000:]
    told: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
    return told
