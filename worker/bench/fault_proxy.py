"""A TCP proxy that goes wrong when told: stalls, drips, cuts, resets, answers nonsense. For any protocol over TCP.

It runs in a thread of its own, so that neither a busy caller nor a test's event loop slows it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

CHUNK = 65_536
DRIP_S = 1.0

Kind = Literal["none", "stall", "drip", "reset", "cut", "garbage", "status"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to an answer. `after`: so many bytes of it pass first."""

    kind: Kind = "none"
    after: int = 0
    status: int = 500

    @property
    def answers_itself(self) -> bool:
        """Whether the request never reaches the other side."""
        return self.kind in ("garbage", "status") and self.after == 0


NONE = Fault()


@dataclass(slots=True)
class FaultProxy:
    """`fault` holds for every answer that begins from now on; `strike` also for those under way."""

    port: int = 0
    fault: Fault = NONE
    asked: int = 0  # pieces of requests
    struck: int = 0  # times that a fault did something
    _open: set[_Link] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def strike(self, fault: Fault) -> None:
        """This happens now, to every open connection and to each new one."""
        self.fault = fault
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._strike, fault)

    def heal(self) -> None:
        """All that is open is cut, so that nothing hangs on an old fault; what comes now passes."""
        self.fault = NONE
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._cut_faulty)

    def _strike(self, fault: Fault) -> None:
        for link in list(self._open):
            link.strike(replace(fault, after=0))

    def _cut_faulty(self) -> None:
        for link in list(self._open):
            if link.fault.kind != "none":
                link.reset()


class _Link:
    """One client's connection and ours to the other side."""

    def __init__(self, proxy: FaultProxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self.fault = NONE
        self._sent = 0  # of the present answer
        self._changed = asyncio.Event()  # the fault is another one now

    def strike(self, fault: Fault) -> None:
        self.fault = fault
        self._changed.set()
        if fault.kind == "reset":
            self.reset()

    def reset(self) -> None:
        """RST, not FIN: the peer sees a connection that broke."""
        raw = self._client.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.transport.abort()

    async def requests(self, reader: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            self._proxy.asked += 1
            self.fault, self._sent = self._proxy.fault, 0
            if self.fault.kind != "none" and self.fault.after == 0:
                self._proxy.struck += 1
            if self.fault.answers_itself:
                await self._answer_itself()
                continue
            if self.fault.kind == "reset" and self.fault.after == 0:
                self.reset()
                return
            there.write(data)
            await there.drain()

    async def answers(self, there: asyncio.StreamReader) -> None:
        while data := await there.read(CHUNK):
            await self._pass_on(data)

    async def _pass_on(self, data: bytes) -> None:
        while data and self.fault.kind != "none":
            left = max(0, self.fault.after - self._sent)
            if left == 0:
                data = await self._fail(data)
            else:
                await self._send(data[:left])
                data = data[left:]
        await self._send(data)

    async def _fail(self, data: bytes) -> bytes:
        """The fault's next step; what of `data` is still to be sent."""
        self._proxy.struck += 1
        if self.fault.kind == "stall":
            self._changed.clear()
            await self._changed.wait()
            return data
        if self.fault.kind == "drip":
            await self._send(data[:1])
            await asyncio.sleep(DRIP_S)
            return data[1:]
        if self.fault.kind == "garbage":
            await self._send(b"\x00\xff{]not it\n\n" * 3)
        if self.fault.kind in ("garbage", "cut"):
            self._client.close()
        else:
            self.reset()
        return b""

    async def _send(self, data: bytes) -> None:
        if data:
            self._sent += len(data)
            self._client.write(data)
            await self._client.drain()

    async def _answer_itself(self) -> None:
        if self.fault.kind == "garbage":
            await self._send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {not json\n\n")
            self._client.close()
            return
        body = b'{"error": {"message": "made to fail", "type": "fault"}}'
        head = (
            f"HTTP/1.1 {self.fault.status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await self._send(head.encode() + body)


@contextmanager
def fault_proxy(target_port: int) -> Iterator[FaultProxy]:
    """A free port of 127.0.0.1 that leads to `target_port`; closed connections and all at the end."""
    proxy = FaultProxy()
    loop = asyncio.new_event_loop()
    proxy._loop = loop
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = loop.create_task(_serve(proxy, target_port, reader, writer), name="fault proxy connection")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = loop.run_until_complete(asyncio.start_server(accept, "127.0.0.1", 0))
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="fault-proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_close(server, tasks), loop).result(timeout=5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        loop.close()


async def _serve(
    proxy: FaultProxy, target_port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    link = _Link(proxy, writer)
    proxy._open.add(link)
    there_writer: asyncio.StreamWriter | None = None
    try:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", target_port)
        ways = [
            asyncio.create_task(link.requests(reader, there_writer), name="fault-proxy-up"),
            asyncio.create_task(link.answers(there_reader), name="fault-proxy-down"),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
    except OSError:
        pass
    finally:
        proxy._open.discard(link)
        writer.close()
        if there_writer is not None:
            there_writer.close()


async def _close(server: asyncio.Server, tasks: set[asyncio.Task[None]]) -> None:
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
