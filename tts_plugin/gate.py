"""The app of an engine whose voice is still being loaded: probes are answered, all else is told to come again.

Once the real app is there everything goes to it. Knows no voice.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

_RETRY_AFTER_S = 1


class Gate:
    """`app` is None until the voice is loaded."""

    def __init__(self, app: ASGIApp | None = None) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(scope["path"])(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(_loading())
        else:
            await _lifespan(receive, send)


def _answer(path: str) -> Response:
    if path == "/livez":
        return PlainTextResponse("loading\n")
    if path in ("/readyz", "/startupz"):
        return PlainTextResponse("loading\n", status_code=503)
    return _loading()


def _loading() -> JSONResponse:
    body = {"code": "loading", "message": "the voice is being loaded", "retry_after_s": float(_RETRY_AFTER_S)}
    return JSONResponse(body, status_code=503, headers={"Retry-After": str(_RETRY_AFTER_S)})


async def _lifespan(receive: Receive, send: Send) -> None:
    """The app that comes later has none of its own."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
