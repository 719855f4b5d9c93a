"""The tools of an agent on the telephone: hang up, transfer, read digits, send digits.

What they do to the call is the call's business (`Desk`). Digits and numbers never reach a log; numbers not even the
language model.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from livekit.agents import RunContext
from livekit.agents.llm import RawFunctionTool, ToolError, function_tool
from livekit.agents.voice import SpeechHandle

from worker.agent_tools import Target, Tools
from worker.phone.keypad import KEYS
from worker.phone.transfer import TransferFailed

SAID_S = 30.0  # what the agent was saying when it asked for a tool is said to its end, but not for ever
FIRST_KEY_S, PAUSE_S, MAX_DIGITS = 12.0, 4.0, 32
SENT_PAUSE_S = 0.25


class Desk(Protocol):
    """What a tool can do to its call."""

    def hang_up_after(self, speech: SpeechHandle, farewell: str) -> None:
        """Once `speech` is said."""

    async def transfer(self, target: Target, introduction: str) -> None:
        """Raises TransferFailed."""

    async def collect(self, *, most: int, first_s: float, pause_s: float) -> str:
        """Keys that the caller presses."""

    async def send(self, digit: str) -> None:
        """One key, to the other side."""


def build_tools(allowed: Tools, desk: Desk, *, on_phone: bool) -> list[RawFunctionTool[Any, Any]]:
    """Those that the agent file allows; of hang_up, where it does not say, on telephone calls."""
    tools = []
    if allowed.hang_up or (allowed.hang_up is None and on_phone):
        tools.append(_hang_up(desk))
    if not on_phone:
        return tools
    if allowed.transfer:
        tools.append(_transfer(desk, {target.name: target for target in allowed.transfer}))
    if allowed.collect_digits:
        tools.append(_collect(desk))
    if allowed.send_digits:
        tools.append(_send(desk))
    return tools


def _hang_up(desk: Desk) -> RawFunctionTool[Any, Any]:
    async def hang_up(raw_arguments: dict[str, object], context: RunContext[None]) -> None:
        desk.hang_up_after(context.speech_handle, _text(raw_arguments, "farewell", 200))

    about = "End the call. Use it when the caller has said goodbye or wants nothing more."
    return _tool(hang_up, "hang_up", about, {"farewell": {"type": "string", "description": "last words, may be empty"}})


def _transfer(desk: Desk, targets: dict[str, Target]) -> RawFunctionTool[Any, Any]:
    async def transfer(raw_arguments: dict[str, object], context: RunContext[None]) -> str:
        target = targets.get(_text(raw_arguments, "target", 40))
        if target is None:
            raise ToolError(f"There is no such target; there are: {', '.join(sorted(targets))}.")
        await _said(context)
        try:
            await desk.transfer(target, _text(raw_arguments, "introduction", 300))
        except TransferFailed as error:
            raise ToolError(f"{error} Tell the caller, and ask how else you can help.") from None
        return "The call was transferred."

    listed = "; ".join(f"{t.name}: {t.about}" if t.about else t.name for t in targets.values())
    return _tool(
        transfer,
        "transfer",
        f"Put the caller through to a person. Targets: {listed}.",
        {
            "target": {"type": "string", "enum": sorted(targets)},
            "introduction": {"type": "string", "description": "one sentence for that person: who calls, and why"},
        },
        required=["target"],
    )


def _collect(desk: Desk) -> RawFunctionTool[Any, Any]:
    async def collect_digits(raw_arguments: dict[str, object], context: RunContext[None]) -> str:
        await _said(context)
        most = raw_arguments.get("max_digits", MAX_DIGITS)
        most = most if isinstance(most, int) and not isinstance(most, bool) else MAX_DIGITS
        try:
            digits = await desk.collect(most=max(1, min(most, MAX_DIGITS)), first_s=FIRST_KEY_S, pause_s=PAUSE_S)
        except RuntimeError as error:
            raise ToolError(str(error)) from None
        return f"The caller pressed: {digits}" if digits else "The caller pressed nothing."

    return _tool(
        collect_digits,
        "collect_digits",
        "Read digits that the caller presses on the telephone, ended by #. Ask the caller for them first.",
        {"max_digits": {"type": "integer", "minimum": 1, "maximum": MAX_DIGITS}},
    )


def _send(desk: Desk) -> RawFunctionTool[Any, Any]:
    async def send_digits(raw_arguments: dict[str, object], context: RunContext[None]) -> str:
        digits = _text(raw_arguments, "digits", MAX_DIGITS)
        if not digits or not set(digits) <= KEYS:
            raise ToolError("digits: 1 to 32 of 0-9, *, # and A-D are allowed.")
        await _said(context)
        for digit in digits:
            await desk.send(digit.upper())
            await asyncio.sleep(SENT_PAUSE_S)
        return "The digits were sent."

    return _tool(
        send_digits,
        "send_digits",
        "Press keys of the telephone, for a menu at the other end.",
        {"digits": {"type": "string", "pattern": "^[0-9*#A-D]{1,32}$"}},
        required=["digits"],
    )


def _tool(
    function: Any, name: str, about: str, properties: dict[str, Any], *, required: list[str] | None = None
) -> RawFunctionTool[Any, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": required or [],
        "additionalProperties": False,
    }
    schema = {"name": name, "description": about, "parameters": parameters}
    tool: RawFunctionTool[Any, Any] = function_tool(function, raw_schema=schema)
    return tool


async def _said(context: RunContext[None]) -> None:
    """The words before the tool are heard first."""
    try:
        async with asyncio.timeout(SAID_S):
            await context.wait_for_playout()
    except TimeoutError:
        return


def _text(arguments: dict[str, object], name: str, most: int) -> str:
    value = arguments.get(name, "")
    return value.strip()[:most] if isinstance(value, str) else ""
