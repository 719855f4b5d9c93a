"""GET /openapi.json and GET /docs: what the routes say of themselves, and the refusals that stand before all of them.

The page is ours and needs no script of anybody else's; it reads /openapi.json.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi

from worker.api import openai_errors

DESCRIPTION = (
    "A text becomes sound, a question an answer that is spoken, and a caller gets into a room. "
    "Every error is a problem+json (RFC 9457) with a code, what was given and what is allowed."
)
SUMMARIES = {
    "/token": "A caller gets a room of its own and a join token for it",
    "/chat": "A text becomes the language model's answer, spoken while it is written",
    "/synthesize": "A text becomes sound",
    "/audio/{id}": "The sound that an answer of /chat named by a link",
    "/voices": "Who can speak",
    "/v1/audio/speech": "A text becomes sound, as OpenAI's clients ask for it",
    "/v1/audio/transcriptions": "Sound becomes text, as OpenAI's clients ask for it",
    "/v1/models": "Names that OpenAI's clients may give",
    "/v1/models/{id}": "One of them",
    "/v1/audio/voices": "Who can speak, as OpenAI-compatible servers tell it",
    "/health": "What is there, in use and missing, for people",
    "/livez": "Whether to start the service again",
    "/readyz": "Whether to send it requests",
    "/metrics": "For Prometheus",
    "/webhooks/livekit": "For LiveKit's server",
}
PUBLIC = {"/livez", "/readyz", "/webhooks/livekit"}
TEXTS: dict[int, str] = {
    400: "Something in the request is not right.",
    401: "An API key or a JWT is needed.",
    403: "This page or this host may not ask.",
    404: "There is none of this name.",
    408: "The body came too slowly, or nobody took the answer.",
    409: "The same request is being answered right now.",
    413: "The body is too large.",
    415: "The body is compressed.",
    422: "Something in the request is not right.",
    429: "Too often, or too much at once.",
    500: "The service failed, or a file of its own is not right.",
    502: "The engine or the language model failed.",
    503: "No room, draining, or the engine does not answer.",
    504: "The engine or the language model took too long.",
}
EVERY = (403, 429, 500, 504)
WITH_KEY = (401, 503)  # 503: the keys cannot be read
WITH_BODY = (408, 413, 415, 422)
SPEAKING = (502,)
MORE = {  # what a route answers besides
    "/synthesize": (409,),
    "/readyz": (503,),
    "/audio/{id}": (404,),
    "/v1/models/{id}": (404,),
    "/webhooks/livekit": (401, 408, 413, 415),
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"}}}
_GENERATED = {"X-AI-Generated": {"description": "No person spoke it.", "schema": {"type": "string", "const": "true"}}}

PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "message"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z_]+$", "description": "For programs; docs/api.md lists them."},
        "message": {"type": "string", "description": "The same as detail."},
        "retry_after_s": {"type": "number"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "given", "allowed"],
                "properties": {"field": {"type": "string"}, "given": {}, "allowed": {"type": "string"}},
            },
        },
    },
}
OPENAI_PROBLEM: dict[str, Any] = {
    "title": "OpenAiProblem",
    "description": "The same, with the error object that OpenAI's clients read.",
    "allOf": [{"$ref": "#/components/schemas/Problem"}],
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}


def routes(app: FastAPI) -> APIRouter:
    """/openapi.json itself; `app`'s other routes are read when it is first asked for."""
    router = APIRouter()

    @cache
    def whole() -> dict[str, Any]:
        return document(app)

    @router.get("/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return whole()

    @router.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    def docs() -> Response:
        return Response(status_code=307, headers={"Location": "/api.html"})

    return router


def document(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of all routes, with every answer that what stands before them gives."""
    made = get_openapi(title="tts-ops", version=app.version, description=DESCRIPTION, routes=app.routes)
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's shape, which nobody gets
        schemas.pop(name, None)
    schemas["Problem"], schemas["OpenAiProblem"] = PROBLEM, OPENAI_PROBLEM
    made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in made["paths"].items():
        for operation in methods.values():
            _complete(path, operation)
    return made


def _complete(path: str, operation: dict[str, Any]) -> None:
    public = path in PUBLIC
    operation["summary"] = SUMMARIES.get(path, operation["summary"])
    operation["security"] = [] if public else [{"key": []}, {}]  # {}: from this machine itself
    answers: dict[str, Any] = operation["responses"]
    spoken = any(kind.startswith("audio/") for kind in answers.get("200", {}).get("content", {}))
    if spoken:
        answers["200"]["headers"] = _GENERATED
    answers.pop("422", None)
    statuses = {*EVERY, *(() if public else WITH_KEY), *(SPEAKING if spoken else ())}
    statuses |= set(MORE.get(path, ()))
    if "requestBody" in operation:
        statuses |= set(WITH_BODY)
    elif operation.get("parameters"):
        statuses.add(422)
    theirs = path.startswith(openai_errors.PREFIX)
    if theirs and 422 in statuses:
        statuses = statuses - {422} | {400}
    for status in sorted({*statuses, *(int(status) for status in answers if int(status) >= 400)}):
        answers[str(status)] = _refusal(status, theirs=theirs) | answers.get(str(status), {})


def _refusal(status: int, *, theirs: bool) -> dict[str, Any]:
    shape = {"$ref": f"#/components/schemas/{'OpenAiProblem' if theirs else 'Problem'}"}
    told: dict[str, Any] = {"description": TEXTS[status], "content": {"application/problem+json": {"schema": shape}}}
    if status in (429, 503):
        told["headers"] = _RETRY
    return told
