"""Who may talk to the service while it has no keys, and what it tells browsers to forbid. Pure ASGI, no buffering."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.api.errors import ApiError, answer
from worker.settings import SettingsError


def require_loopback(host: str) -> None:
    """Without API keys anybody who reaches /token may call: so only this machine may reach it."""
    if not is_loopback(host):
        raise SettingsError(
            f"HOST is {host!r}: the HTTP service has no API keys yet, so it listens on this machine only; "
            "allowed: 127.0.0.1, ::1, localhost"
        )


def is_loopback(host: str) -> bool:
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class LocalOnly:
    """Refuses names that merely resolve to this machine (DNS rebinding), and pages of other sites."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (answer(refusal) if refusal else self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not is_loopback(_hostname(f"//{hosts[0]}")):
            return ApiError(403, "wrong_host", "The Host header must name this machine: 127.0.0.1, [::1] or localhost.")
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if any(not is_loopback(_hostname(origin)) for origin in origins):
            return ApiError(403, "wrong_origin", "Only pages of this machine may ask: 127.0.0.1, [::1] or localhost.")
        return None


class SecurityHeaders:
    """Adds to every answer what keeps other sites, other people's scripts and other devices out of the page."""

    def __init__(self, app: ASGIApp, *, livekit_url: str) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": content_security_policy(livekit_url),
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def content_security_policy(livekit_url: str) -> str:
    """The client opens a WebSocket to LiveKit and, when that fails, asks over HTTP why."""
    parts = urlsplit(livekit_url)
    secure = "s" if parts.scheme == "wss" else ""
    livekit = f"ws{secure}://{parts.netloc} http{secure}://{parts.netloc}"
    return (
        f"default-src 'self'; connect-src 'self' {livekit}; img-src 'self' data:; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
