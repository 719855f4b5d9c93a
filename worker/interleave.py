"""A stream that never makes its reader wait for ever: between two items it says when something else is due.

Knows neither audio nor models.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Alarm = TypeVar("Alarm")

LOOK_S = 0.05
MAX_WAITING = 64  # items that were made and not yet taken


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


async def interleave(
    source: AsyncIterator[Item], due: Callable[[], Alarm | None], *, name: str
) -> AsyncGenerator[Item | Alarm, None]:
    """The items of `source` as they come; while none is there, whatever `due` answers, asked every LOOK_S.

    Raises what `source` raises. The source runs in a task `name` of its own, so that it keeps its context, and is
    closed with this generator.
    """
    queue: asyncio.Queue[Item | _End] = asyncio.Queue(MAX_WAITING)
    task = asyncio.create_task(_pump(source, queue), name=name)
    looked_at = time.monotonic()
    try:
        while True:
            item = await _take(queue)
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            if item is not None:
                yield item
            if item is None or time.monotonic() - looked_at >= LOOK_S:
                looked_at = time.monotonic()
                if (alarm := due()) is not None:
                    yield alarm
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _pump(source: AsyncIterator[Item], queue: asyncio.Queue[Item | _End]) -> None:
    try:
        async for item in source:
            await queue.put(item)
    except Exception as error:  # this task's outermost loop: the reader is told
        await queue.put(_End(error))
    else:
        await queue.put(_End())
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _take(queue: asyncio.Queue[Item | _End]) -> Item | _End | None:
    with contextlib.suppress(asyncio.QueueEmpty):
        return queue.get_nowait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_S):
            return await queue.get()
    return None
