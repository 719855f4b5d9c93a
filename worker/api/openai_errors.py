"""Errors of /v1/… as OpenAI's clients read them: our problem+json with OpenAI's `error` object in it. Pure ASGI.

Stands before gate and limits, so that their refusals too become the exceptions that those clients know.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/v1/"
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {
    "unauthorized": "invalid_api_key",
    "too_often": "rate_limit_exceeded",
    "too_many_at_once": "rate_limit_exceeded",
}


def error_object(problem: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's: message, type, param (the first wrong field), code (OpenAI's where it has one, else ours)."""
    wrong = problem.get("errors") or [{"field": ""}]
    status = problem["status"]
    return {
        "message": problem["message"],
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "param": wrong[0]["field"].partition(".")[0] or None,
        "code": _CODES.get(problem["code"], problem["code"]),
    }


class OpenAiErrors:
    """ASGI middleware. A wrong request is 400 here: 422 is nothing that OpenAI's clients expect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            send = _Translated(send).send
        await self._app(scope, receive, send)


class _Translated:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()  # of a problem: small

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_translated(self._start)
        else:
            await self._send(message)

    async def _send_translated(self, start: Message) -> None:
        problem: dict[str, Any] = json.loads(bytes(self._body))
        if problem["status"] == 422:
            problem |= {"status": 400, "title": "Bad Request"}
        start["status"] = problem["status"]
        body = json.dumps({"error": error_object(problem), **problem}).encode()
        MutableHeaders(scope=start)["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def _is_problem(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith("application/problem+json")
