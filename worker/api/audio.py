"""Speech as an HTTP answer: streamed while it is spoken, or whole with a right header.

Nothing is sent before the first sound, so a refusal or a failure still becomes a clean error. After it the chunked
body is broken off, which every client sees as an incomplete answer.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from typing import IO

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from worker.api.disconnect import while_connected
from worker.api.encode import OutputFormat, header, media_type
from worker.api.errors import ApiError, ClientGone
from worker.api.speech import Speech

WRITE_TIMEOUT_S = 60.0  # a client that takes nothing for so long is cut off
IN_MEMORY_BYTES = 2 * 1024 * 1024
_READ_BYTES = 64 * 1024

logger = logging.getLogger(__name__)


async def answer(speech: Speech, output_format: OutputFormat, receive: Receive, *, stream: bool) -> Response:
    """The answer to whoever reads `receive`. Raises ApiError before the first sound, ClientGone when it hung up."""
    try:
        await while_connected(receive, speech.start())
        if stream:
            return StreamedSpeech(speech, output_format)
        return await _whole(speech, output_format, receive)
    except BaseException:
        speech.cancel()
        raise


class _AudioResponse(Response):
    """Sends `_send_all`, ends early when the client goes or something fails."""

    def __init__(self, output_format: OutputFormat, sample_rate_hz: int, pcm_bytes: int | None) -> None:
        super().__init__(headers=_HEADERS, media_type=media_type(output_format, sample_rate_hz))
        self._head = header(output_format, sample_rate_hz, pcm_bytes)
        if pcm_bytes is None:
            del self.headers["content-length"]
        else:
            self.headers["content-length"] = str(len(self._head) + pcm_bytes)

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


class StreamedSpeech(_AudioResponse):
    """Sends each piece as it is spoken; a slow client slows the engine down, by the protocol's credit."""

    def __init__(self, speech: Speech, output_format: OutputFormat) -> None:
        super().__init__(output_format, speech.sample_rate_hz, None)
        self._speech = speech

    async def _send_all(self, send: Send) -> None:
        head = self._head
        async for pcm in self._speech.pcm():
            await _send_body(send, head + pcm, more=True)
            head = b""
        await _send_body(send, head, more=False)

    def _release(self) -> None:
        self._speech.cancel()


class WholeSpeech(_AudioResponse):
    """Sends what was kept."""

    def __init__(self, kept: IO[bytes], sample_rate_hz: int, output_format: OutputFormat) -> None:
        super().__init__(output_format, sample_rate_hz, kept.tell())
        self._kept = kept

    async def _send_all(self, send: Send) -> None:
        self._kept.seek(0)
        body = self._head + self._kept.read(_READ_BYTES)
        while body:
            await _send_body(send, body, more=True)
            body = self._kept.read(_READ_BYTES)
        await _send_body(send, b"", more=False)

    def _release(self) -> None:
        self._kept.close()


_HEADERS = {"X-AI-Generated": "true", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def _whole(speech: Speech, output_format: OutputFormat, receive: Receive) -> Response:
    kept = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - the response closes it
    try:
        await while_connected(receive, _keep(speech, kept))
    except BaseException:
        kept.close()
        raise
    return WholeSpeech(kept, speech.sample_rate_hz, output_format)


async def _keep(speech: Speech, kept: IO[bytes]) -> None:
    async for pcm in speech.pcm():
        kept.write(pcm)


async def _send_body(send: Send, body: bytes, *, more: bool) -> None:
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await send({"type": "http.response.body", "body": body, "more_body": more})
    except TimeoutError:
        raise ApiError(408, "slow_reader", f"The client took nothing for {WRITE_TIMEOUT_S:g} s.") from None
