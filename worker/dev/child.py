"""One child process in a session of its own: its output line by line, its last lines kept, its whole group ended.

Knows nothing of restarts or readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import psutil

KEPT_LINES = 40
LINE_BYTES = 8192  # longer lines are cut into pieces: a bound on what one line can hold in memory


class Child:
    """`on_line` gets every line of both outputs. Descendants that stay in the group end with it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], on_line: Callable[[str], None]) -> None:
        self._command = command
        self._env = env
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """OSError where the program cannot be started."""
        read_fd, write_fd = os.pipe()  # not asyncio's: its wait() would wait for grandchildren that hold the pipe
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_fd,
                stderr=write_fd,
                env=os.environ | self._env,  # a child inherits what its parent was given
                start_new_session=True,
            )
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        self._reader = asyncio.create_task(self._read(read_fd), name=f"output-{self.pid}")

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def members(self) -> list[psutil.Process]:
        """Every living process of its group and every descendant of it."""
        members = {p.pid: p for p in _group(self.pid)}
        with contextlib.suppress(psutil.Error):
            members |= {p.pid: p for p in psutil.Process(self.pid).children(recursive=True)}
        return [p for p in members.values() if _is_alive(p)]

    async def end(self, grace_s: float) -> None:
        """SIGTERM to all of it, SIGKILL after `grace_s`. Afterwards nothing of it is left."""
        members = self.members()
        self._signal(signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + grace_s
        while any(map(_is_alive, members)) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.03)
        self.kill(members)
        await self.wait()
        await self._drain()

    def kill(self, also: Iterable[psutil.Process] = ()) -> None:
        for process in {*also, *self.members()}:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._signal(signal.SIGKILL)

    async def _drain(self) -> None:
        """The last words, which may still be in the pipe."""
        if self._reader:
            await asyncio.wait({self._reader}, timeout=0.5)
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _read(self, read_fd: int) -> None:
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read_fd, "rb", buffering=0)
        )
        pending = b""
        try:
            while data := await stream.read(LINE_BYTES):
                *lines, pending = (pending + data).split(b"\n")
                if len(pending) >= LINE_BYTES:
                    lines.append(pending)
                    pending = b""
                for line in lines:
                    self._take(line)
            if pending:
                self._take(pending)
        finally:
            transport.close()

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self.tail.append(text)
            self._on_line(text)


def _group(pgid: int) -> list[psutil.Process]:
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(pid) == pgid:
                found.append(psutil.Process(pid))
    return found


def _is_alive(process: psutil.Process) -> bool:
    """A zombie is dead: somebody else has to reap it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if sys.platform == "win32":
    raise ImportError("process groups are needed: use WSL 2 on Windows")
