"""POST /webhooks/livekit: LiveKit tells what happens in its rooms. Here it is only a reason to look into that room now.

So a webhook that is lost, late or doubled does no harm. Signature and body hash are LiveKit's own.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request, Response
from livekit.api import TokenVerifier, WebhookReceiver
from livekit.protocol.webhook import WebhookEvent

from worker.api.errors import ApiError
from worker.api.metrics import HttpMetrics
from worker.settings import Settings, SettingsError

PATH = "/webhooks/livekit"
BODY_BYTES = 256 * 1024  # a room's or a participant's metadata may be in it
REPLAY_S = 300.0  # older is refused; LiveKit repeats one for less than a minute
MAX_IDS = 4_096

logger = logging.getLogger(__name__)
Result = Literal["taken", "repeated", "forged", "stale"]


class Replays:
    """Says whether an event was here before, or is too old (or too young) to be one. `clock`: unix seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ids: OrderedDict[str, None] = OrderedDict()

    def judge(self, event: WebhookEvent) -> Result:
        if abs(self._clock() - event.created_at) > REPLAY_S:
            return "stale"
        if event.id in self._ids:
            return "repeated"
        self._ids[event.id] = None
        if len(self._ids) > MAX_IDS:
            self._ids.popitem(last=False)
        return "taken"


def routes(settings: Settings, hint: Callable[[str], None], metrics: HttpMetrics) -> APIRouter:
    """SettingsError when there is no secret to verify with."""
    if settings.livekit_api_secret is None:
        raise SettingsError("LIVEKIT_API_SECRET is not set; it is the secret that the LiveKit server was given")
    verifier = TokenVerifier(settings.livekit_api_key, settings.livekit_api_secret.get_secret_value())
    receiver = WebhookReceiver(verifier)
    replays = Replays()
    router = APIRouter()

    @router.post(PATH, status_code=204, response_class=Response)
    async def webhook(request: Request) -> None:
        event = _verified(receiver, await request.body(), request.headers.get("authorization", ""))
        result: Result = replays.judge(event) if event else "forged"
        metrics.webhooks.labels(result).inc()
        if event is None or result == "stale":
            raise ApiError(401, "not_livekit", "Only LiveKit's own, signed, recent webhooks are taken.")
        if result == "taken" and event.room.name:
            hint(event.room.name)

    return router


def _verified(receiver: WebhookReceiver, body: bytes, token: str) -> WebhookEvent | None:
    try:
        return receiver.receive(body.decode(), token)
    except Exception as error:  # LiveKit's own raises bare Exceptions; whatever it is, the webhook is not taken
        logger.debug("a webhook was refused: %s", type(error).__name__)
        return None
