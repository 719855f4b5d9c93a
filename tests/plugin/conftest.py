"""A real engine with the embedded voice in its own process, and the rule that no test leaves a task behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import whisper_ear
from engine_process import EngineProcess
from faster_whisper import WhisperModel
from livekit.plugins import vibevoice


@pytest.fixture(scope="session")
def engine_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real engine that all tests share."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine") / "log")
    yield engine.url
    engine.end()


@pytest.fixture(scope="module")
def own_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """A real engine that a test may hurt."""
    engine = EngineProcess(tmp_path_factory.mktemp("own-engine") / "log")
    yield engine
    engine.end()


@pytest.fixture
async def voice(engine_url: str) -> AsyncIterator[vibevoice.TTS]:
    async with vibevoice.TTS(base_url=engine_url) as voice:
        yield voice


@pytest.fixture(scope="session")
def ear() -> WhisperModel:
    return whisper_ear.load()


@pytest.fixture(autouse=True)
async def _no_leaked_task() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    deadline = time.monotonic() + 1.0
    while (left := asyncio.all_tasks() - before - {asyncio.current_task()}) and time.monotonic() < deadline:
        await asyncio.sleep(0)
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left)}"
