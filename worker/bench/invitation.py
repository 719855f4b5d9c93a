"""A place in a room, asked for at `POST /token` as the call page does, or the reason why there is none."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True)
class Invitation:
    server_url: str
    token: str
    room: str


class Refused(Exception):
    """/token did not give a room: the status, and what the body says."""

    def __init__(self, status: int, code: str, message: str, retry_after: str | None) -> None:
        super().__init__(f"/token answered {status} {code}: {message}")
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after


async def invite(http_url: str, *, deadline_s: float = 10.0) -> Invitation:
    """A fresh room from the HTTP service; Refused when it has none."""
    timeout = aiohttp.ClientTimeout(total=deadline_s)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.post(f"{http_url}/token", json={}) as answer:
        if answer.status not in (200, 201):
            raise await _refusal(answer)
        given = await answer.json()
    return Invitation(given["server_url"], given["participant_token"], given["room_name"])


async def _refusal(answer: aiohttp.ClientResponse) -> Refused:
    with suppress(ValueError, aiohttp.ContentTypeError):
        body = await answer.json()
        if isinstance(body, dict):
            detail = body.get("detail")
            said = detail if isinstance(detail, dict) else body
            return Refused(
                answer.status, str(said.get("code")), str(said.get("message")), answer.headers.get("Retry-After")
            )
    return Refused(answer.status, "", (await answer.text())[:200], answer.headers.get("Retry-After"))
