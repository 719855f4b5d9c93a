"""What every test may use: where the repository is, and how a missing real part is treated."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

# A busy machine is no failure: pytest-timeout holds the clock. The health check for slow data is the same clock again.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--integration", action="store_true", help="run tests/integration against running services")


ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Call it with the name of a part that this machine lacks: the test is skipped; under CI=true it fails."""
    return _missing


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def build_dir() -> Path:
    """Where logs, recordings and pictures of a test run go (ignored by git)."""
    path = ROOT / "build"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture
async def redis_url(missing: Callable[[str], NoReturn], tmp_path: Path) -> AsyncIterator[str]:
    """A real redis on a unix socket: no port, so that nobody takes it in between."""
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


def _missing(part: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{part} is missing, and under CI every real part must be there")
    pytest.skip(f"{part} is missing")
