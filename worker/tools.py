"""Tools with a deadline: one that does not answer in time is told to the model as an error, and the turn goes on."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

from livekit.agents.llm import FunctionTool, RawFunctionTool, ToolError

from worker.turn_guard import TurnGuard


def with_deadline(tool: FunctionTool[Any, Any] | RawFunctionTool[Any, Any], timeout_s: float, guard: TurnGuard) -> Any:
    """The same tool, ended after `timeout_s` seconds; `guard` knows while it is at work."""

    @functools.wraps(tool)
    async def limited(*args: Any, **kwargs: Any) -> Any:
        with guard.at_work("tools"):
            try:
                async with asyncio.timeout(timeout_s) as limit:
                    return await _called(tool, *args, **kwargs)
            except TimeoutError:
                if not limit.expired():
                    raise
                guard.timed_out("tool")
                raise ToolError(f"{tool.info.name} did not answer within {timeout_s:g} s. Say so briefly.") from None

    if isinstance(tool, RawFunctionTool):
        return RawFunctionTool(limited, tool.info)
    return FunctionTool(limited, tool.info)


async def _called(tool: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = tool(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result
