"""What the webhook's door lets in: signed by LiveKit's key, unchanged, recent, once."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from google.protobuf.json_format import MessageToJson
from livekit.api import AccessToken
from livekit.protocol.models import Room
from livekit.protocol.webhook import WebhookEvent

from worker.api import errors, webhooks
from worker.api.metrics import HttpMetrics
from worker.settings import Settings, SettingsError

KEY, SECRET = "devkey", "a-secret-of-at-least-thirty-two-characters"


class Door:
    def __init__(self) -> None:
        settings = Settings(_env_file=None, livekit_api_key=KEY, livekit_api_secret=SECRET)
        self.hints: list[str] = []
        self.metrics = HttpMetrics()
        self.app = FastAPI()
        self.url = ""
        errors.install(self.app)
        self.app.include_router(webhooks.routes(settings, self.hints.append, self.metrics))

    async def post(self, body: str | bytes, token: str | None) -> int:
        headers = {"Content-Type": "application/webhook+json"} | ({"Authorization": token} if token else {})
        async with aiohttp.ClientSession() as session, session.post(self.url, data=body, headers=headers) as answer:
            return answer.status

    def count(self, result: str) -> float:
        return self.metrics.registry.get_sample_value("voice_webhooks_total", {"result": result}) or 0.0


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(door.app, log_config=None, ws="none", lifespan="off"))
        door.url = f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks/livekit"
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="door")
        yield door
        server.should_exit = True
        await serving


def event(*, id: str = "EV_1", age_s: float = 0, room: str = "call-a") -> str:
    made = WebhookEvent(id=id, event="participant_left", created_at=int(time.time() - age_s), room=Room(name=room))
    return MessageToJson(made)


def signed(body: str, *, secret: str = SECRET, key: str = KEY, hashed: bool = True) -> str:
    token = AccessToken(key, secret).with_ttl(datetime.timedelta(minutes=5))
    if hashed:
        token = token.with_sha256(base64.b64encode(hashlib.sha256(body.encode()).digest()).decode())
    return token.to_jwt()


async def test_livekits_webhook_is_a_reason_to_look(door: Door) -> None:
    body = event()
    assert await door.post(body, signed(body)) == 204
    assert door.hints == ["call-a"]


async def test_a_repeated_webhook_is_taken_and_changes_nothing(door: Door) -> None:
    body = event()
    assert [await door.post(body, signed(body)) for _ in range(2)] == [204, 204]
    assert door.hints == ["call-a"]
    assert door.count("repeated") == 1


@pytest.mark.parametrize("age_s", [400, -400])
async def test_a_replayed_webhook_is_refused(door: Door, age_s: float) -> None:
    body = event(age_s=age_s)
    assert await door.post(body, signed(body)) == 401
    assert not door.hints
    assert door.count("stale") == 1


@pytest.mark.parametrize(
    "token",
    [
        None,
        "nonsense",
        signed(event(), secret="another-secret-of-thirty-two-characters"),
        signed(event(), key="otherkey"),
        signed(event(), hashed=False),
        signed(event(room="call-b")),
    ],
    ids=["none", "nonsense", "another secret", "another key", "no hash", "another body"],
)
async def test_a_forged_webhook_is_refused(door: Door, token: str | None) -> None:
    assert await door.post(event(), token) == 401
    assert not door.hints
    assert door.count("forged") == 1


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"[]"])
async def test_what_is_no_event_is_refused(door: Door, body: bytes) -> None:
    assert await door.post(body, signed(body.decode("latin-1"))) == 401
    assert not door.hints


def test_without_a_secret_there_is_no_door() -> None:
    with pytest.raises(SettingsError, match="LIVEKIT_API_SECRET"):
        webhooks.routes(Settings(_env_file=None), lambda _: None, HttpMetrics())


def test_the_memory_of_events_is_bounded() -> None:
    replays = webhooks.Replays(clock=lambda: 1000.0)
    for n in range(webhooks.MAX_IDS + 10):
        assert replays.judge(WebhookEvent(id=f"EV_{n}", created_at=1000)) == "taken"
    assert len(replays._ids) == webhooks.MAX_IDS
