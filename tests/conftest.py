"""What every test may use: where the repository is, and how a missing real part is treated."""

from __future__ import annotations

import os
from collections.abc import Callable
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


def _missing(part: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{part} is missing, and under CI every real part must be there")
    pytest.skip(f"{part} is missing")
