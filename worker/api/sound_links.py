"""GET /audio/{id}: a sound that an answer named by a link. For a while, and for who asked for it alone."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from worker.api import audio
from worker.api.errors import ApiError
from worker.api.formats.output import MEDIA_TYPES
from worker.api.idempotency import KEEP_S
from worker.api.limits import by_asker
from worker.api.shared_answers import SharedAnswers

PATH = "/audio/"
ID_BYTES = 32
ANSWERS: dict[int | str, dict[str, Any]] = {200: {"content": {media_type: {} for media_type in MEDIA_TYPES}}}


async def keep(answers: SharedAnswers, kept: audio.Kept, request: Request) -> str:
    """The link to the sound, good for KEEP_S or until too many came after it. `kept` is closed."""
    id = secrets.token_urlsafe(ID_BYTES)
    key = _key(request, id)
    await answers.begin(key, "")
    (await answers.keep(key, kept)).sound.close()
    return f"{PATH}{id}"


def routes(answers: SharedAnswers) -> APIRouter:
    router = APIRouter()

    @router.get(f"{PATH}{{id}}", response_class=Response, responses=ANSWERS)
    async def sound(id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")], request: Request) -> Response:
        kept = await answers.find(_key(request, id))
        if kept is None:
            raise ApiError(
                404, "not_found", f"There is no such sound, or no more: it is kept for {KEEP_S / 60:g} minutes."
            )
        return audio.KeptAnswer(kept)

    return router


def _key(request: Request, id: str) -> str:
    # The blanks keep it apart from every Idempotency-Key, which has none.
    return f"{by_asker(request.scope) or 'anybody'} audio {id}"
