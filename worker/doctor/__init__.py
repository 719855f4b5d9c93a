"""`tts-ops doctor`: what this installation has, what it lacks, and the command that mends each. Changes nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from worker.doctor.finding import Finding, table
from worker.doctor.machine import look_at_machine, look_at_ports
from worker.doctor.packages import look_at_packages
from worker.doctor.providers import look_at_agent, look_at_livekit, look_at_llm, look_at_stt, look_at_voice
from worker.doctor.tools import look_at_tools
from worker.doctor.voice_files import look_at_voice_files
from worker.settings import Settings

Check = Callable[[Settings], list[Finding] | Awaitable[list[Finding]]]
CHECKS: dict[str, Check] = {
    "Machine": look_at_machine,
    "Tools": look_at_tools,
    "Packages": look_at_packages,
    "Ports": look_at_ports,
    "LiveKit": look_at_livekit,
    "Language model": look_at_llm,
    "Recogniser": look_at_stt,
    "Voice": lambda settings: [*look_at_voice(settings), *look_at_voice_files(settings)],
    "Agent": look_at_agent,
}


def run(settings: Settings) -> int:
    """Print the table. 1 when something that is needed is missing, else 0."""
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    missing = 0
    for title, check in CHECKS.items():
        found = check(settings)
        findings = found if isinstance(found, list) else await found
        missing += sum(f.state == "missing" for f in findings)
        sys.stdout.write(f"{title}\n{table(findings, colour=sys.stdout.isatty())}\n")
        sys.stdout.flush()
    sys.stdout.write(f"\n{_verdict(missing)}\n")
    return 1 if missing else 0


def _verdict(missing: int) -> str:
    if not missing:
        return "Everything that is needed is there. `make call` starts it."
    return f"{missing} {'thing is' if missing == 1 else 'things are'} missing; the arrow says what mends it."
