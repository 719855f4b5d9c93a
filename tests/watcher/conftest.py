"""A real redis for the tests of what several watchers share."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

import pytest


@pytest.fixture
async def redis_url(missing: Callable[[str], NoReturn], tmp_path: Path) -> AsyncIterator[str]:
    """A unix socket: no port, so that nobody takes it in between."""
    program = shutil.which("redis-server") or missing("redis-server")
    path = tmp_path / "redis.sock"
    arguments = ("--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path))
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(20):
            while not path.exists():
                await asyncio.sleep(0.02)
        yield f"unix://{path}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
