"""Takes in a request's body before the application sees it: bounded in size and time, never compressed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.api.errors import ApiError, answer

BODY_TIMEOUT_S = 10.0
STREAM_TIMEOUT_S = 120.0  # of a body that the application takes in as it comes
DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_TIMEOUT_S = 2.0


class BodyLimit:
    """ASGI middleware. `limits`: bytes per path; `default`: bytes for every other path.

    `streamed`: bytes per path whose body the application takes in itself as it comes; reading it raises ApiError.
    """

    def __init__(
        self, app: ASGIApp, *, default: int, limits: Mapping[str, int], streamed: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._default = default
        self._limits = limits
        self._streamed = streamed or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (most := self._streamed.get(scope["path"])) is not None and not _is_encoded(scope):
            await self._app(scope, _Counted(receive, most).receive, send)
            return
        limit = self._limits.get(scope["path"], self._default)
        try:
            first = await _take_in(scope, receive, limit)
        except ApiError as error:
            response = answer(error)
            response.headers["Connection"] = "close"  # the rest of the body stays unread
            await response(scope, receive, send)
            return
        if first is not None:
            await self._app(scope, _replay(first, receive), send)


async def _take_in(scope: Scope, receive: Receive, limit: int) -> Message | None:
    """The whole body as one message; None when the client went away. Raises ApiError 413, 415 or 408."""
    if _is_encoded(scope):
        raise ApiError(415, "unsupported_encoding", "Content-Encoding is not taken; send the body as it is.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > limit:
                    await _drain(receive, message)
                    raise ApiError(413, "too_large", f"The body may have {limit} bytes.")
                if not message.get("more_body", False):
                    return {"type": "http.request", "body": bytes(body), "more_body": False}
    except TimeoutError:
        raise ApiError(408, "too_slow", f"The body did not arrive within {BODY_TIMEOUT_S:g} s.") from None


def _is_encoded(scope: Scope) -> bool:
    return bool(dict(scope["headers"]).get(b"content-encoding", b"identity").lower() != b"identity")


class _Counted:
    """A body on its way to the application: bounded in size and time."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = self._left = limit
        self._until_s = time.monotonic() + STREAM_TIMEOUT_S
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._until_s - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(408, "too_slow", f"The body did not arrive within {STREAM_TIMEOUT_S:g} s.") from None
        self._is_whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            await _drain(self._receive, message)
            raise ApiError(413, "too_large", f"The body may have {self._limit} bytes.")
        return message


async def _drain(receive: Receive, message: Message) -> None:
    """Throw the rest away, within bounds: a connection closed on unread bytes is reset, and the answer is lost."""
    left_bytes = DRAIN_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while message.get("more_body", False) and left_bytes > 0:
                message = await receive()
                left_bytes -= len(message.get("body", b""))


def _replay(first: Message, receive: Receive) -> Receive:
    pending: Message | None = first

    async def replayed() -> Message:
        nonlocal pending
        if pending is None:
            return await receive()
        message, pending = pending, None
        return message

    return replayed
