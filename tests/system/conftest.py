"""Real installations for the system tests: `tts-ops dev` with every process it starts, on free ports.

`stack` answers with words that a test has written (a local server that speaks the OpenAI protocol); `embedded_stack`
answers by itself. Both are started once, when the first test asks, and must end within 5 s without leaving anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

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

    def log_tail(self, lines: int = 40) -> str:
        return self.stack.log_tail(lines)


@pytest.fixture(scope="session")
def livekit_server(missing: Callable[[str], NoReturn]) -> Path:
    from worker.setup.livekit_server import find

    return find() or missing("livekit-server (`make setup` builds it)")


@pytest.fixture(scope="session")
def _scripted_stack(livekit_server: Path, build_dir: Path) -> Iterator[ScriptedStack]:
    with scripted_llm() as llm:
        env = EMBEDDED | {"LLM_PROVIDER": "local", "OPENAI_BASE_URL": llm.url, "MAX_CALLS": str(MAX_CALLS)}
        with running_stack(build_dir / "system" / "stack.log", env) as stack:
            yield ScriptedStack(stack, llm)


@pytest.fixture
def stack(_scripted_stack: ScriptedStack) -> ScriptedStack:
    """The shared installation, with an empty notebook and the default answer."""
    _scripted_stack.scripted.requests.clear()
    _scripted_stack.scripted.script = lambda _: Reply()
    return _scripted_stack


@pytest.fixture(scope="module")
def embedded_stack(livekit_server: Path, build_dir: Path) -> Iterator[Stack]:
    """An installation where everything is embedded."""
    with running_stack(build_dir / "system" / "embedded.log", EMBEDDED) as stack:
        yield stack


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows the last log lines of the installation that it used."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        for name in ("stack", "embedded_stack"):
            used = getattr(item, "funcargs", {}).get(name)
            if used is not None:
                report.sections.append((f"log of {name}", used.log_tail()))
