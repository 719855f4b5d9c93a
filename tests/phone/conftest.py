"""One line for all telephones of the suite, and the product behind it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from phone_line import DESK, Line, Wire, line, wire
from telephone import Telephone, telephone

from worker.bench.scripted_llm import Reply, ScriptedLlm, scripted_llm
from worker.bench.stack import EMBEDDED, Stack, free_ports, running_stack
from worker.setup import livekit_server, livekit_sip

MAX_CALLS = 8
AGENT = "phone-test"


@dataclass(frozen=True, slots=True)
class PhoneStack:
    """Everything, from the wire to the models. `llm` says what a test wants."""

    line: Line
    stack: Stack
    llm: ScriptedLlm


@pytest.fixture(scope="session")
def phone_programs(missing: Callable[[str], NoReturn]) -> dict[str, Path]:
    if os.geteuid() != 0:
        missing("root, which a network namespace for the telephone needs,")
    for name in ("ip", "baresip", "sipp", "redis-server"):
        if shutil.which(name) is None:
            missing(f"{name} (`make setup` installs it where it may)")
    return {
        "redis-server": Path(str(shutil.which("redis-server"))),
        "livekit-server": livekit_server.find() or missing("livekit-server (`make setup` builds it)"),
        "livekit-sip": livekit_sip.PROGRAM.find() or missing("livekit-sip (`make setup` builds it)"),
    }


@pytest.fixture(scope="session")
def the_wire(phone_programs: dict[str, Path]) -> Iterator[Wire]:
    with wire() as made:
        yield made


@pytest.fixture(scope="session")
def _phone_stack(
    phone_programs: dict[str, Path], the_wire: Wire, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PhoneStack]:
    logs = tmp_path_factory.mktemp("line")
    ports = free_ports()
    webhook = f"http://127.0.0.1:{ports['HTTP_PORT']}/webhooks/livekit"
    with line(phone_programs, the_wire, logs, webhook=webhook, agent_name=AGENT) as made, scripted_llm() as llm:
        desk = f"sip:{DESK}@{the_wire.there}:{made.desk_port}"
        (logs / "agent.yaml").write_text(AGENT_YAML.format(desk=desk, number=DESK))
        env = {
            **EMBEDDED,
            **ports,
            **made.environment,
            "LLM_PROVIDER": "local",
            "OPENAI_BASE_URL": llm.url,
            "MAX_CALLS": str(MAX_CALLS),
            "SIP_OUTBOUND_TRUNK": made.outbound_trunk,
            "AGENT_NAME": AGENT,
            "AGENT_FILE": str(logs / "agent.yaml"),
            "LOG_LEVEL": "INFO",
        }
        with running_stack(logs / "dev.log", env) as stack:
            yield PhoneStack(made, stack, llm)


AGENT_YAML = """\
name: Ada
greeting: Hello, this is Ada, an AI assistant. How can I help you?
tools:
  collect_digits: true
  send_digits: true
  transfer:
    - name: front desk
      number: {desk}
    - name: billing
      number: "{number}"
      mode: warm
"""


@pytest.fixture
def phone_stack(_phone_stack: PhoneStack) -> PhoneStack:
    _phone_stack.llm.requests.clear()
    _phone_stack.llm.script = lambda _: Reply()
    return _phone_stack


@pytest.fixture
def phone(phone_stack: PhoneStack, tmp_path: Path) -> Iterator[Telephone]:
    with telephone(phone_stack.line.wire, tmp_path / "phone", phone_stack.line.sip_address) as made:
        yield made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows the last log lines of what it used."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    used = getattr(item, "funcargs", {}).get("_phone_stack")
    if report.failed and used is not None:
        report.sections.append(("log of the installation", used.stack.log_tail()))
        report.sections.append(("log of the bridge", used.line.log("sip")))
