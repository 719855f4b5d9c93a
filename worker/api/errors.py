"""What the service answers when it does not do what was asked: one JSON shape (RFC 9457), always with a code."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, get_args

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

CLIENT_GONE = 499  # nobody reads it; metrics do
_GIVEN_CHARS = 80


class Wrong(NamedTuple):
    """One field that was not right."""

    field: str
    given: Any
    allowed: str


class ApiError(Exception):
    """Becomes the answer of `problem`; `retry_after_s` also becomes the Retry-After header."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after_s: float | None = None, wrong: Iterable[Wrong] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.wrong = tuple(wrong)


class ClientGone(Exception):
    """The client hung up before it had its answer."""


def invalid(*wrong: Wrong) -> ApiError:
    """422: `field`, what was given, what is allowed."""
    return ApiError(422, "invalid", "; ".join(f"{w.field}: {w.allowed}" for w in wrong), wrong=wrong)


def problem(error: ApiError) -> dict[str, Any]:
    """RFC 9457, with `code`, `message` (the same as `detail`), and what was given and is allowed."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(error.status),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "message": error.message,
    }
    if error.retry_after_s is not None:
        body["retry_after_s"] = error.retry_after_s
    if error.wrong:
        body["errors"] = [{"field": w.field, "given": _shown(w.given), "allowed": w.allowed} for w in error.wrong]
    return body


def answer(error: ApiError) -> Response:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    # ASCII: what was given may hold half a surrogate pair, which has no UTF-8.
    return Response(json.dumps(problem(error)), error.status, headers, media_type="application/problem+json")


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def install(app: FastAPI) -> None:
    """Give every error of the framework our shape."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(ClientGone, _on_client_gone)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_crash)


async def _on_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return answer(error)


async def _on_client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(invalid(*(_wrong(request, e) for e in error.errors()[:10])))


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # a body that json.loads could not take in
        return answer(invalid(Wrong("body", None, "a JSON object in UTF-8")))
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    response = answer(ApiError(error.status_code, code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response


async def _on_crash(_: Request, __: Exception) -> Response:
    """Starlette raises the error again afterwards, so it stands in the log with its traceback."""
    return answer(ApiError(500, "internal_error", "The service failed; its log says why."))


def _wrong(request: Request, error: Mapping[str, Any]) -> Wrong:
    place = [str(part) for part in error["loc"][1:]] or ["body"]
    if error["type"] == "json_invalid":
        return Wrong("body", None, "a JSON object in UTF-8")
    if place == ["body"]:
        return Wrong("body", error.get("input"), "a JSON object, sent as Content-Type: application/json")
    return Wrong(".".join(place), error.get("input"), _allowed(request, error))


def _allowed(request: Request, error: Mapping[str, Any]) -> str:
    limits = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "must be given"
        case "extra_forbidden":
            return f"no such field; there are: {', '.join(_fields(request))}"
        case "literal_error":
            return str(limits["expected"])
        case "greater_than_equal":
            return f"at least {limits['ge']}"
        case "less_than_equal":
            return f"at most {limits['le']}"
        case "too_long":
            return f"at most {limits['max_length']}"
        case "string_too_long":
            return f"at most {limits['max_length']} characters"
        case "string_too_short":
            return f"at least {limits['min_length']} characters"
        case "string_pattern_mismatch":
            return f"text that matches {limits['pattern']}"
        case "value_error":
            return str(limits["error"])
        case _:
            return str(error["msg"])


def _fields(request: Request) -> list[str]:
    body = getattr(request.scope.get("route"), "body_field", None)
    model = getattr(getattr(body, "field_info", None), "annotation", None)
    models = get_args(model) or (model,)  # a body that may be left out is a union with None
    return sorted(name for m in models for name in getattr(m, "model_fields", {}))


def _shown(value: Any) -> Any:
    """Short, and always fit for JSON."""
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < 2**53 else "a huge number"
        case str():
            return value if len(value) <= _GIVEN_CHARS else f"{value[: _GIVEN_CHARS - 1]}…"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return repr(value)[:_GIVEN_CHARS]
