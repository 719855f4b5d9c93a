"""POST /token: a fresh room, a fresh identity and a join token for just that, if the fleet has room for a call."""

from __future__ import annotations

import datetime
import secrets
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body
from livekit.api import AccessToken, VideoGrants
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from worker.api.errors import ApiError, Wrong, invalid
from worker.api.fleet_view import FleetView, Refusal
from worker.api.metrics import HttpMetrics
from worker.settings import Settings, SettingsError

TTL = datetime.timedelta(minutes=10)
EMPTY_TIMEOUT_S = 30  # a room that nobody joined
DEPARTURE_TIMEOUT_S = 5  # a room that everybody left; LiveKit's own 20 s would hold the job's place as long
ROOM_BYTES = 16
MIN_SECRET_BYTES = 32


_IGNORED = "Taken and not looked at: the service chooses."


def _plain(name: str) -> str:
    """Refuses control, format, private-use and surrogate characters, with which names are dressed up."""
    if not name.strip() or any(unicodedata.category(c)[0] == "C" for c in name):
        raise ValueError("a name without control or invisible characters")
    return name


class TokenRequest(BaseModel):
    """The fields of LiveKit's standard endpoint, so that its TokenSource clients work unchanged.

    Room, identity, metadata and attributes are the service's to choose: whatever is asked for there is not looked at.
    """

    model_config = ConfigDict(extra="forbid")

    participant_name: Annotated[str, Field(max_length=64), AfterValidator(_plain)] | None = None
    room_config: dict[str, Any] | None = Field(
        None, description="Only agents[0].agent_name is looked at: it may be AGENT_NAME or empty."
    )
    room_name: Any = Field(None, description=_IGNORED)
    participant_identity: Any = Field(None, description=_IGNORED)
    participant_metadata: Any = Field(None, description=_IGNORED)
    participant_attributes: Any = Field(None, description=_IGNORED)

    @property
    def agent_names(self) -> list[Any]:
        """What is asked for; snake case and camel case, as protobuf's JSON has both."""
        agents = (self.room_config or {}).get("agents")
        asked = agents if isinstance(agents, list) else []
        names = [a.get("agent_name", a.get("agentName")) if isinstance(a, dict) else a for a in asked]
        return [name for name in names if name not in (None, "")]


class TokenAnswer(BaseModel):
    """What LiveKit's TokenSource clients read."""

    server_url: str
    participant_token: str
    room_name: str
    participant_name: str


def routes(settings: Settings, fleet: FleetView, metrics: HttpMetrics) -> APIRouter:
    mint = minter(settings)
    router = APIRouter()

    @router.post("/token", status_code=201)
    async def token(body: Annotated[TokenRequest | None, Body()] = None) -> TokenAnswer:
        for name in body.agent_names if body else ():
            if name != settings.agent_name:
                raise invalid(Wrong("room_config.agents.agent_name", name, settings.agent_name))
        room = new_room()
        refusal = await fleet.reserve(room)
        metrics.join_tokens.labels(refusal or "given").inc()
        if refusal:
            raise _REFUSALS[refusal]()
        return mint(room, (body and body.participant_name) or "Caller")

    return router


def new_room() -> str:
    """A name that nobody guesses: 128 random bits."""
    return f"call-{secrets.token_hex(ROOM_BYTES)}"


def minter(settings: Settings) -> Callable[[str, str], TokenAnswer]:
    """A function of room and name. SettingsError when the secret is missing or too short for HS256."""
    secret = settings.livekit_api_secret.get_secret_value() if settings.livekit_api_secret else ""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"LIVEKIT_API_SECRET has {len(secret)} characters; {MIN_SECRET_BYTES} or more are allowed")

    def mint(room: str, name: str) -> TokenAnswer:
        token = (
            AccessToken(settings.livekit_api_key, secret)
            .with_identity(f"caller-{secrets.token_hex(8)}")
            .with_name(name)
            .with_ttl(TTL)
            .with_grants(_grants(room))
            .with_room_config(_room_config(settings.agent_name))
        )
        return TokenAnswer(
            server_url=settings.livekit_browser_url,
            participant_token=token.to_jwt(),
            room_name=room,
            participant_name=name,
        )

    return mint


def _grants(room: str) -> VideoGrants:
    return VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_publish_sources=["microphone"],
        can_subscribe=True,
        can_publish_data=True,
    )


def _room_config(agent_name: str) -> RoomConfiguration:
    """`max_participants` counts people; agents come on top."""
    return RoomConfiguration(
        agents=[RoomAgentDispatch(agent_name=agent_name)],
        max_participants=1,
        empty_timeout=EMPTY_TIMEOUT_S,
        departure_timeout=DEPARTURE_TIMEOUT_S,
    )


_REFUSALS: dict[Refusal, Callable[[], ApiError]] = {
    "at_capacity": lambda: ApiError(
        503, "at_capacity", "All agents are on a call. Please try again in a moment.", retry_after_s=5.0
    ),
    "no_descriptors": lambda: ApiError(
        503, "no_descriptors", "The workers have no file descriptors left for another call.", retry_after_s=5.0
    ),
    "no_agents": lambda: ApiError(
        503, "no_agents", "No agent is there: the worker is starting or has stopped.", retry_after_s=2.0
    ),
}
