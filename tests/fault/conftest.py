"""One fleet for all rows: two workers, two engines, the embedded models, livekit-server and the HTTP service.

A row kills or freezes what it wants; before the next one all is whole again. `pytest -s` shows the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from fault_rig import MAX_CALLS, Rig, Ticker

from worker.bench.cluster import running_cluster
from worker.bench.fault_proxy import fault_proxy
from worker.bench.scripted_llm import scripted_llm
from worker.bench.stack import free_ports
from worker.setup import livekit_server
from worker.verify.recogniser import Recogniser

AGENT = """
name: Vera
greeting: Hello.
"""


@pytest.fixture(scope="session")
def ticker() -> Iterator[Ticker]:
    ticker = Ticker()
    ticker.start()
    yield ticker
    ticker.stop()


@pytest.fixture(scope="session")
def _rig(missing: Callable[[str], NoReturn], ticker: Ticker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    if livekit_server.find() is None:
        missing("livekit-server (`make setup` builds it)")
    folder: Path = tmp_path_factory.mktemp("fleet")
    (folder / "agent.yaml").write_text(AGENT)
    models_port = int(free_ports()["MODELS_PORT"])
    with (
        scripted_llm() as llm,
        fault_proxy(int(llm.url.split(":")[2].split("/")[0])) as proxy,
        fault_proxy(models_port) as stt,
    ):
        env = {
            "LLM_PROVIDER": "local",
            "OPENAI_BASE_URL": f"{proxy.url}/v1",
            "MODELS_PORT": str(models_port),
            "MODELS_URL": stt.url,
            "MAX_CALLS": str(MAX_CALLS),
            "AGENT_FILE": str(folder / "agent.yaml"),
        }
        with running_cluster(folder, env) as cluster:
            yield Rig(cluster, llm, proxy, stt, ticker)


@pytest.fixture
def rig(_rig: Rig, record_property: Callable[[str, object], None]) -> Rig:
    """The fleet, whole and without a call."""
    _rig.record = record_property
    _rig.reset()
    return _rig


@pytest.fixture(scope="session")
def ear() -> Recogniser:
    """Whisper: what it hears decides which words were said."""
    return Recogniser()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that hangs must still end the fleet, hence the signal; the first one pays for its start."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.fault)
            item.add_marker(pytest.mark.system)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(180, method="signal"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed row shows the last log lines of every process."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    rig = getattr(item, "funcargs", {}).get("_rig")
    if report.failed and rig is not None:
        for program in rig.cluster.programs:
            report.sections.append((f"log of {program.name}", program.log_tail()))
