"""What ends a connection or a request that only holds things up: slow heads, slow readers, too many, too long.

uvicorn has none of these. A connection that is quiet between two requests is uvicorn's own (KEEP_ALIVE_S).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from worker.api.asker import network
from worker.api.errors import ApiError, answer

HEAD_TIMEOUT_S = 10.0  # from a connection, or a request's first byte, to the end of its head
HEAD_BYTES = 32 * 1024
READER_TIMEOUT_S = 20.0  # for the 64 KiB that wait for a reader: 1.4 s of sound

_BAD_HEAD = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_SLOW_HEAD = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `guarded` makes the class for one server."""

    per_address: int
    unlimited: frozenset[str]
    open_now: Counter[str]

    _address: str | None = None  # where it is counted
    _head_timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _idle_since_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = network(self.client[0]) if self.client else "unknown"
        if address not in self.unlimited:
            self._address = address
            self.open_now[address] += 1
            if self.open_now[address] > self.per_address:
                transport.abort()
                return
        self._idle_since_s = self.loop.time()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_room()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_timer is None:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._end_with(_BAD_HEAD)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        self._head_bytes = 0
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since_s = self.loop.time()

    def handle_websocket_upgrade(self) -> None:
        self._forget()  # another protocol hears of its end
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        # To close is not enough: that would first send what nobody reads.
        self._reader_timer = self._reader_timer or self.loop.call_later(READER_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_reader_timer()

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is being asked or answered; half a head is nothing."""
        return (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing()

    def _make_room(self) -> None:
        """Of all connections the one that has been idle for longest goes, so that idle ones keep nobody out."""
        others = (c for c in self.connections if isinstance(c, GuardedProtocol) and c is not self and c._is_idle)
        if longest := min(others, key=lambda c: c._idle_since_s, default=None):
            longest.transport.abort()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._end_with, _SLOW_HEAD)

    def _end_with(self, answer_: bytes) -> None:
        self._stop_head_timer()
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(answer_)
            self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _forget(self) -> None:
        self._stop_head_timer()
        self._stop_reader_timer()
        if self._address is not None:
            self.open_now[self._address] -= 1
            if not self.open_now[self._address]:
                del self.open_now[self._address]
            self._address = None


def guarded(*, per_address: int, unlimited: Collection[str] = ()) -> type[GuardedProtocol]:
    """A protocol for uvicorn. `unlimited`: addresses, such as proxies', with any number of connections."""

    class Guarded(GuardedProtocol):
        pass

    Guarded.per_address = per_address
    Guarded.unlimited = frozenset(network(address) for address in unlimited)
    Guarded.open_now = Counter()
    return Guarded


class Deadline:
    """ASGI middleware: 504 when an answer has not begun in time. `longer`: seconds by path, for texts that take long.

    An answer that has begun ends when it is whole, or when nobody reads it.
    """

    def __init__(self, app: ASGIApp, *, seconds: float, longer: Mapping[str, float]) -> None:
        self._app = app
        self._seconds = seconds
        self._longer = longer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds = self._longer.get(scope["path"], self._seconds)
        begun = False

        async def send_in_time(message: Message) -> None:
            nonlocal begun
            if not begun:
                begun = True
                timer.reschedule(None)
            await send(message)

        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if not timer.expired():
                raise
            await answer(ApiError(504, "too_long", f"No answer within {seconds:g} s."))(scope, receive, send)
