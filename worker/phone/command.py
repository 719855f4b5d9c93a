"""`tts-ops phone setup|list|remove`: what an operator sees and is asked. Numbers are shown, a password never."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence

from livekit.protocol.sip import SIPDispatchRuleInfo, SIPInboundTrunkInfo

from worker.phone import trunks
from worker.phone.registrar import PhoneError, Registrar
from worker.phone.trunks import Step, Wanted
from worker.settings import Settings

NOTHING = Wanted(None, None, None)


def setup(settings: Settings, *, yes: bool = False) -> int:
    """0: all is as the settings say. 1: LiveKit refused. 3: the operator did."""
    want = trunks.wanted(settings)
    return _told(lambda: asyncio.run(_bring(settings, want, yes=yes)))


def remove(settings: Settings, *, yes: bool = False) -> int:
    return _told(lambda: asyncio.run(_bring(settings, NOTHING, yes=yes)))


def show(settings: Settings) -> int:
    return _told(lambda: asyncio.run(_show(settings)))


async def _bring(settings: Settings, want: Wanted, *, yes: bool) -> int:
    async with Registrar(settings) as registrar:
        steps = trunks.steps(want, await registrar.there())
        _say(plan_text(steps))
        if all(step.sign == "=" for step in steps):
            return 0
        if not yes and not _agrees():
            _say("Nothing was changed.")
            return 3
        await registrar.apply(steps, want)
        left = [step for step in trunks.steps(want, await registrar.there()) if step.sign != "="]
        if left:
            raise PhoneError(f"LiveKit took it, but {left[0].name} is not as it should be: run it again")
        _say("Done.")
    return 0


async def _show(settings: Settings) -> int:
    async with Registrar(settings) as registrar:
        there = await registrar.there()
    if not there:
        _say("There are no trunks and no rules; `tts-ops phone setup` makes them.")
    for one in there:
        kind = "inbound trunk" if isinstance(one, SIPInboundTrunkInfo) else "outbound trunk"
        kind = "dispatch rule" if isinstance(one, SIPDispatchRuleInfo) else kind
        _say(f"{trunks.id_of(one)}  {kind}  {getattr(one, 'name', '') or '(no name)'}")
        for line in trunks.describe(one):
            _say(f"    {line}")
    return 0


def plan_text(steps: Sequence[Step]) -> str:
    if not steps:
        return "There is nothing of ours, and nothing to do."
    if all(step.sign == "=" for step in steps):
        return "All is as it should be: " + ", ".join(step.name for step in steps)
    lines = []
    for step in steps:
        lines.append(f"{step.sign} {step.name}")
        lines += [f"    {line}" for line in step.lines]
    return "\n".join(lines)


def _agrees() -> bool:
    if not sys.stdin.isatty():
        raise PhoneError("nobody is there to agree; give --yes")
    return input("Do it? [y/N] ").strip().lower() in ("y", "yes")


def _told(do: Callable[[], int]) -> int:
    try:
        return do()
    except PhoneError as error:
        print(f"tts-ops phone: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
