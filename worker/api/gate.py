"""Lets in who may ask: by API key, by an issuer's JWT, or from this machine. Pure ASGI, before every route.

Without any key and without an issuer only this machine is let in. Everything needs a key but what PUBLIC names: what is
forgotten is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import PurePosixPath

from starlette.types import ASGIApp, Receive, Scope, Send

from worker.api import pages, webhooks
from worker.api.asker import Asker, address_of, is_this_machine
from worker.api.errors import ApiError, answer
from worker.api.oidc import Issuer
from worker.api.security import hostname, is_loopback
from worker.keys import KeyFile
from worker.settings import Settings, SettingsError

# Probes, the pages, and LiveKit's webhooks, which bring their own signature.
PUBLIC = {"/", "/docs", "/openapi.json", "/livez", "/readyz", pages.VENDOR_PATH, webhooks.PATH}
MAX_TOKEN_CHARS = 8_192
PROTOCOL = "tts-ops"  # what a WebSocket that names protocols is told it speaks
KEY_PROTOCOL = "tts-ops.key."  # a browser's WebSocket sends no header of its own, and addresses stand in logs

logger = logging.getLogger(__name__)


def is_public(path: str) -> bool:
    """Also the page's own files, which all lie in one folder."""
    return path in PUBLIC or (path.count("/") == 1 and PurePosixPath(path).suffix in pages.SERVED)


class Gate:
    """Puts the Asker into scope["state"]["asker"]."""

    def __init__(self, app: ASGIApp, *, settings: Settings, issuer: Issuer | None) -> None:
        self._app = app
        self._keys = KeyFile(settings.api_keys_file)
        self._issuer = issuer
        self._origins = frozenset(settings.cors_origins)
        self._open_here = settings.open_on_loopback and is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            asker = await self._admit(scope)
        except ApiError as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        scope.setdefault("state", {})["asker"] = asker
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> Asker:
        host = _one(scope, b"host")
        local = is_this_machine(scope, hostname(f"//{host}"))
        closed = not local and not self._guarded()
        if not host or closed:
            raise ApiError(403, "wrong_host", "The Host header must name this machine: 127.0.0.1, [::1] or localhost.")
        for name, value in scope["headers"]:
            if name == b"origin" and not self._may_be_asked_by(value.decode("latin-1"), host, local):
                raise ApiError(
                    403, "wrong_origin", "Only pages of this service may ask, and those that CORS_ORIGINS names."
                )
        if local and self._open_here:
            return Asker("local", "local")
        if is_public(scope["path"]):
            return Asker("anybody", address_of(scope))
        return await self._by_token(scope)

    def _guarded(self) -> bool:
        return self._issuer is not None or bool(self._all_keys())

    def _all_keys(self) -> Iterable[object]:
        try:
            return self._keys.all()
        except SettingsError as error:
            raise self._unreadable(error) from None

    async def _by_token(self, scope: Scope) -> Asker:
        token = _token(scope)
        if 0 < len(token) <= MAX_TOKEN_CHARS and token.isascii():
            try:
                key = self._keys.find(token)
            except SettingsError as error:
                raise self._unreadable(error) from None
            if key is not None:
                return Asker("key", key.id)
            subject = await self._issuer.verify(token) if self._issuer and token.count(".") == 2 else None
            if subject is not None:
                return Asker("oidc", subject)
        raise ApiError(401, "unauthorized", "An API key is needed, as `Authorization: Bearer …`.")

    def _may_be_asked_by(self, origin: str, host: str, local: bool) -> bool:
        if origin in self._origins:
            return True
        if local:
            return is_loopback(hostname(origin))
        return origin in (f"https://{host}", f"http://{host}")

    def _unreadable(self, error: SettingsError) -> ApiError:
        logger.error("%s", error)
        return ApiError(503, "keys_unreadable", "The keys cannot be read; the service's log says why.", retry_after_s=5)


async def _refuse(refusal: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    response = answer(refusal)  # to a WebSocket too: instead of the upgrade
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="tts-ops"'
    await response(scope, receive, send)


def _token(scope: Scope) -> str:
    """A key or a JWT; empty when there is none, or more than one to choose from."""
    kind, _, token = _one(scope, b"authorization").partition(" ")
    if kind:
        return token.strip() if kind.lower() == "bearer" else ""
    offered = [name for name in scope.get("subprotocols", ()) if name.startswith(KEY_PROTOCOL)]
    return offered[0].removeprefix(KEY_PROTOCOL) if len(offered) == 1 else ""


def _one(scope: Scope, wanted: bytes) -> str:
    """The header's value; empty when there is none, or more than one to choose from."""
    values = [value for name, value in scope["headers"] if name == wanted]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def require_guarded(settings: Settings) -> None:
    """SettingsError when people of other machines could ask without a key."""
    if is_loopback(settings.host) or settings.oidc_issuer is not None:
        return
    if not KeyFile(settings.api_keys_file).all():
        raise SettingsError(
            f"HOST is {settings.host!r}, and there is no API key: without one the HTTP service listens on this machine "
            "only (127.0.0.1, ::1, localhost); `tts-ops keys add NAME` makes one, or set OIDC_ISSUER and OIDC_AUDIENCE"
        )
