"""Keeps a few processes alive together: waits until each is ready, restarts what dies, ends all of them at once.

Knows nothing of what the processes do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiohttp

from worker.dev.child import Child
from worker.dev.restart_policy import RestartPolicy

GRACES_S = (1.8, 0.9, 0.8)  # between SIGTERM and SIGKILL, for each stage of the end; all is gone within 5 s
POLL_S = 0.1
BAD_SETTING = 2  # the exit code of a wrong setting: starting again would not mend it

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """One process. Ready when `ready_url` answers 200, or tcp://host:port a connection; None: ready once started.

    It is started first when all of `after` were ready once.

    `ends`: in which stage of the end it is stopped. What others need to say goodbye ends after them.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    ready_url: str | None = None
    ready_within_s: float = 90.0
    ends: Literal[0, 1, 2] = 0
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why all was ended: this part could not be kept alive."""

    part: str
    reason: str
    last_lines: tuple[str, ...]


class Supervisor:
    """`on_line(part, line)` gets the output, `on_ready(part, seconds)` each first readiness.

    run() returns None after stop(), or the Failure that ended everything. `ready` is set once all parts were ready.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        on_line: Callable[[str, str], None],
        on_ready: Callable[[str, float], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = parts
        self._on_line = on_line
        self._on_ready = on_ready
        self._clock = clock
        self._children: dict[str, Child] = {}
        self._was_ready: set[str] = set()
        self._first_ready = {part.name: asyncio.Event() for part in parts}
        self._stop = asyncio.Event()
        self._failure: Failure | None = None
        self._guard: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()

    def stop(self, *, at_once: bool = False) -> None:
        """End everything: SIGTERM first, SIGKILL after GRACES_S. At once: SIGKILL now."""
        self._stop.set()
        if at_once:
            for child in self._children.values():
                child.kill()

    async def run(self) -> Failure | None:
        await self._start_guard()
        keepers = [asyncio.create_task(self._keep(part), name=f"keep-{part.name}") for part in self._parts]
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([stopping, *keepers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, *keepers):
                task.cancel()
            await asyncio.gather(stopping, *keepers, return_exceptions=True)
            await self._end_all()
            await self._end_guard()
        for task in done - {stopping}:
            task.result()  # a keeper only returns after it noted a failure; its own error must not be lost
        return self._failure

    async def _keep(self, part: Part) -> None:
        policy = RestartPolicy(self._clock)
        for name in part.after:
            await self._first_ready[name].wait()
        while True:
            try:
                why, last_lines, hopeless = await self._run_once(part)
            except OSError as error:
                why, last_lines, hopeless = f"cannot be started: {error.strerror}", (), True
            pause_s = None if hopeless else policy.died()
            if pause_s is None:
                if not hopeless:
                    why += f", {policy.MOST_DEATHS} times in a minute"
                self._failure = Failure(part.name, why, last_lines)
                return
            log.warning("%s %s; started again in %.1f s", part.name, why, pause_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self, part: Part) -> tuple[str, tuple[str, ...], bool]:
        """One life of a part: how it ended, its last lines, and whether another start is without hope."""
        child = Child(part.command, part.env, lambda line: self._on_line(part.name, line))
        await child.start()
        self._children[part.name] = child
        self._tell_guard(f"+{child.pid}")
        exited = asyncio.create_task(child.wait(), name=f"wait-{part.name}")
        becoming_ready = asyncio.create_task(self._await_ready(part), name=f"ready-{part.name}")
        try:
            await asyncio.wait({exited, becoming_ready}, return_when=asyncio.FIRST_COMPLETED)
            if becoming_ready.done() and not becoming_ready.result():
                why = f"was not ready after {part.ready_within_s:.0f} s"
            else:
                why = _ending(await exited)
        finally:
            exited.cancel()
            becoming_ready.cancel()
            await asyncio.gather(exited, becoming_ready, return_exceptions=True)
        hopeless = exited.done() and not exited.cancelled() and exited.result() == BAD_SETTING
        await self._end(part.name)
        return why, tuple(child.tail), hopeless

    async def _await_ready(self, part: Part) -> bool:
        started = self._clock()
        if part.ready_url is not None and not await _answers(part.ready_url, part.ready_within_s):
            return False
        if part.name not in self._was_ready:
            self._was_ready.add(part.name)
            self._first_ready[part.name].set()
            self._on_ready(part.name, self._clock() - started)
            if len(self._was_ready) == len(self._parts):
                self.ready.set()
        return True

    async def _end_all(self) -> None:
        stages = {part.name: part.ends for part in self._parts}
        for stage, grace_s in enumerate(GRACES_S):
            await asyncio.gather(*(self._end(n, grace_s) for n in list(self._children) if stages[n] == stage))

    async def _end(self, name: str, grace_s: float = GRACES_S[0]) -> None:
        """Also after a death: what a dead part left behind would hold its ports."""
        child = self._children.get(name)
        if child is None:
            return
        await child.end(grace_s)
        self._children.pop(name, None)
        self._tell_guard(f"-{child.pid}")

    async def _start_guard(self) -> None:
        script = Path(__file__).with_name("guard.py")
        self._guard = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(script), stdin=asyncio.subprocess.PIPE, start_new_session=True
        )

    def _tell_guard(self, line: str) -> None:
        if self._guard and self._guard.stdin:
            self._guard.stdin.write(f"{line}\n".encode())

    async def _end_guard(self) -> None:
        if self._guard and self._guard.stdin:
            self._guard.stdin.close()
            await self._guard.wait()


async def _answers(url: str, within_s: float) -> bool:
    if url.startswith("tcp://"):
        return await _connects(url.removeprefix("tcp://"), within_s)
    timeout = aiohttp.ClientTimeout(total=2.0)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s), aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.get(url) as response:
                        if response.status == 200:
                            return True
                await asyncio.sleep(POLL_S)
    return False


async def _connects(address: str, within_s: float) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    return True
                await asyncio.sleep(POLL_S)
    return False


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
