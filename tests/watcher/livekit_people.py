"""People and agents in rooms of a real livekit-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit import api, rtc

from worker.dev.livekit import LiveKitKey

KEY = LiveKitKey.fresh()
AGENT = "ours"


@asynccontextmanager
async def joined(
    url: str, room: str, *, agent: str = AGENT, kind: str | None = None, identity: str = ""
) -> AsyncIterator[rtc.Room]:
    """Somebody in a room that asks for `agent`."""
    token = api.AccessToken(KEY.name, KEY.secret).with_identity(identity or f"someone in {room} {kind or ''}")
    token = token.with_grants(api.VideoGrants(room_join=True, room=room, agent=kind == "agent"))
    if kind:
        token = token.with_kind(kind)  # type: ignore[arg-type]
    if agent:
        config = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=agent)])
        token = token.with_room_config(config)
    someone = rtc.Room()
    async with asyncio.timeout(20):
        await someone.connect(url, token.to_jwt())
    try:
        yield someone
    finally:
        await someone.disconnect()
