from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serving

from tts_plugin.pull.line import Line, Patience
from tts_plugin.pull.progress import Progress

sys.path.append(str(Path(__file__).parents[1] / "model"))  # preset_files: voices made by hand


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def naps() -> list[float]:
    """What the patience of the tests would have slept."""
    return []


@pytest.fixture
def patience(naps: list[float]) -> Patience:
    return Patience(silence_s=10, window_s=10, window_bytes=1_000, attempts=3, sleep=naps.append)


@pytest.fixture
def line(patience: Patience) -> Line:
    return Line(patience)


@pytest.fixture
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(shown: io.StringIO) -> Progress:
    return Progress(shown)


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """huggingface's caches, as HF_HOME would move them."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="the engine extra is not installed")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path
