"""What every answer tells browsers and programs: what to forbid, and that a voice is made. Pure ASGI, no buffering."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SPOKEN = {"/synthesize", "/chat", "/v1/audio/speech"}
SPOKEN_UNDER = "/audio/"


def is_spoken(path: str) -> bool:
    """Whether the answer holds a voice that no person spoke."""
    return path in SPOKEN or path.startswith(SPOKEN_UNDER)


def is_loopback(host: str) -> bool:
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                if is_spoken(scope["path"]) and message["status"] < 300:
                    headers["X-AI-Generated"] = "true"
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


def hostname(url: str) -> str:
    """Of a URL, or of "//" and a Host header; empty when there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
