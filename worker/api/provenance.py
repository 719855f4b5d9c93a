"""Signs whole files (wav, mp3, flac) with a C2PA manifest that says: made by a model. Pure ASGI, after the routes.

Streamed answers have no whole to sign. Knows nothing of how sound is made.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from typing import IO, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import tts_plugin
from worker.api.errors import ApiError, answer
from worker.api.security import is_spoken
from worker.credential import load_or_make
from worker.settings import Settings, SettingsError

FORMATS = {"audio/wav": "audio/wav", "audio/x-wav": "audio/wav", "audio/mpeg": "audio/mpeg", "audio/flac": "audio/flac"}
IN_MEMORY_BYTES = 4 * 1024 * 1024
PIECE_BYTES = 64 * 1024
MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

logger = logging.getLogger(__name__)


class Signer:
    """SettingsError when c2pa-python is not installed, or the key cannot be used."""

    def __init__(self, settings: Settings) -> None:
        try:
            import c2pa
        except ImportError:
            raise SettingsError("C2PA is true and c2pa-python is not installed; `pip install tts-ops[c2pa]`") from None
        credential = load_or_make(settings.c2pa_key_file)
        self._c2pa: Any = c2pa
        info = c2pa.C2paSignerInfo(
            alg=b"es256", sign_cert=credential.certificates, private_key=credential.key, ta_url=None
        )
        try:
            self._signer = c2pa.Signer.from_info(info)
        except c2pa.C2paError as error:
            raise SettingsError(f"C2PA_KEY_FILE is not taken: {type(error).__name__}") from None

    def sign(self, plain: IO[bytes], media_type: str) -> IO[bytes]:
        """A new file, at its beginning. Blocks for milliseconds. C2paError when it is no such file."""
        signed = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - whoever gets it closes it
        plain.seek(0)
        builder = self._c2pa.Builder(_manifest(media_type))
        try:
            builder.sign(self._signer, media_type, plain, signed)
        finally:
            builder.close()
        signed.seek(0)
        return signed


class Provenance:
    """ASGI middleware: holds a whole file back until it is signed."""

    def __init__(self, app: ASGIApp, *, signer: Signer) -> None:
        self._app = app
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_spoken(scope["path"]):
            await self._app(scope, receive, send)
            return
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as plain:
            held = _Held(send, plain)
            await self._app(scope, receive, held.send)
            if held.start is None:
                return
            if not held.whole:
                return  # broken off: nothing was sent, so the server answers 500
            await self._send_signed(scope, receive, send, held)

    async def _send_signed(self, scope: Scope, receive: Receive, send: Send, held: _Held) -> None:
        assert held.start is not None
        try:
            signed = await asyncio.to_thread(self._signer.sign, held.plain, held.media_type)
        except Exception as error:  # the library's own, of many kinds; a file without its manifest would deceive
            logger.error("a file could not be signed: %s", type(error).__name__)
            await answer(ApiError(500, "not_signed", "The file could not be signed."))(scope, receive, send)
            return
        with signed:
            MutableHeaders(scope=held.start)["Content-Length"] = str(signed.seek(0, 2))
            signed.seek(0)
            await send(held.start)
            while piece := signed.read(PIECE_BYTES):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Held:
    """What an application sends: passed on, or kept in `plain` when it is a whole file to sign."""

    def __init__(self, send: Send, plain: IO[bytes]) -> None:
        self._send = send
        self.plain = plain
        self.start: Message | None = None
        self.media_type = ""
        self.whole = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            self.media_type = FORMATS.get(headers.get("content-type", "").partition(";")[0].strip(), "")
            if message["status"] == 200 and self.media_type and "content-length" in headers:
                self.start = message
                return
        elif self.start is not None and message["type"] == "http.response.body":
            self.plain.write(message.get("body", b""))
            self.whole = not message.get("more_body", False)
            return
        await self._send(message)


def _manifest(media_type: str) -> dict[str, Any]:
    """Neither the text nor who asked is in it."""
    created = {"action": "c2pa.created", "digitalSourceType": MADE_BY_A_MODEL}
    return {
        "claim_generator_info": [{"name": "tts-ops", "version": tts_plugin.__version__}],
        "format": media_type,
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
    }
