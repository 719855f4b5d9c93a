"""What ends a WebSocket that only holds things up: a slow reader, and too many of one address.

guards.py does it for HTTP; uvicorn itself pings, and bounds the size of a message.
"""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from worker.api.asker import network
from worker.api.guards import READER_TIMEOUT_S, GuardedProtocol


class GuardedSocket(WebSocketsSansIOProtocol):
    """One connection after its upgrade. `guarded_sockets` makes the class for one server."""

    connections_of: type[GuardedProtocol]  # where addresses are counted, with those of HTTP

    _address: str | None = None
    _reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        counted = self.connections_of
        address = network(self.client[0]) if self.client else "unknown"
        if address not in counted.unlimited:
            self._address = address
            counted.open_now[address] += 1
            if counted.open_now[address] > counted.per_address:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reader_timer()
        if self._address is not None:
            open_now = self.connections_of.open_now
            open_now[self._address] -= 1
            if not open_now[self._address]:
                del open_now[self._address]
            self._address = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        # To close is not enough: that would first send what nobody reads.
        self._reader_timer = self._reader_timer or self.loop.call_later(READER_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_reader_timer()

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


def guarded_sockets(connections_of: type[GuardedProtocol]) -> type[GuardedSocket]:
    """A protocol for uvicorn, which counts the addresses that `connections_of` counts too."""

    class Guarded(GuardedSocket):
        pass

    Guarded.connections_of = connections_of
    return Guarded
