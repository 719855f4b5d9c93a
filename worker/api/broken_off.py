"""An answer whose end may never come: its client goes, or something fails on the way."""

from __future__ import annotations

import asyncio
import logging

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from worker.api.disconnect import while_connected
from worker.api.errors import ApiError, ClientGone

HEADERS = {"X-AI-Generated": "true", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
WRITE_TIMEOUT_S = 60.0  # a client that takes nothing for so long is cut off

logger = logging.getLogger(__name__)


class BreakableAnswer(Response):
    """Sends `_send_all`; ends early when the client goes or it raises ApiError; `_release` is called whatever happens.

    `size`: bytes, where they are known before.
    """

    def __init__(self, media_type: str, size: int | None = None) -> None:
        super().__init__(headers=HEADERS, media_type=media_type)
        if size is None:
            del self.headers["content-length"]
        else:
            self.headers["content-length"] = str(size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await while_connected(receive, self._send_all(send))
        except ClientGone:
            return
        except ApiError as error:
            # Left without its last chunk: the server drops the connection.
            logger.warning("an answer was broken off: %s: %s", error.code, error.message)
        finally:
            self._release()

    async def _send_all(self, send: Send) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        raise NotImplementedError


async def send_body(send: Send, body: bytes, *, more: bool) -> None:
    """ApiError 408 when the client takes nothing for WRITE_TIMEOUT_S."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await send({"type": "http.response.body", "body": body, "more_body": more})
    except TimeoutError:
        raise ApiError(408, "slow_reader", f"The client took nothing for {WRITE_TIMEOUT_S:g} s.") from None
