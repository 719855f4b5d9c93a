"""LiveKit's rooms as the watcher sees and changes them, over its server API. Each question has a deadline."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
from livekit import api
from livekit.protocol.agent_dispatch import AgentDispatch, CreateAgentDispatchRequest
from livekit.protocol.models import DataPacket, ParticipantInfo
from livekit.protocol.room import (
    DeleteRoomRequest,
    ListParticipantsRequest,
    ListRoomsRequest,
    RoomParticipantIdentity,
    SendDataRequest,
)

from worker import handover
from worker.phone.attributes import HUMAN, STATUS
from worker.watch.actions import Dispatch, FailCode
from worker.watch.sights import AgentSight, DispatchSight, RoomSight

ASK_S = 2.0
TOLD_S = 0.5  # from the last message to the end of the room: it must have arrived
CALL_TOPIC = "tts-ops.call"
MESSAGES: dict[FailCode, str] = {
    "no_agent": "No agent could take your call. Please call again in a moment.",
    "no_workers": "No agent is on duty at the moment. Please call again later.",
    "full": "All agents are busy. Please call again in a moment.",
}
_NO_CALLERS = (ParticipantInfo.AGENT, ParticipantInfo.EGRESS, ParticipantInfo.INGRESS)

T = TypeVar("T")
log = logging.getLogger(__name__)


class LiveKitFailed(Exception):
    """LiveKit did not answer in time, or not as asked."""


class LiveKitRooms:
    """`open()` first. Everything raises LiveKitFailed."""

    def __init__(self, url: str, key: str, secret: str, *, agent_name: str) -> None:
        self._url, self._key, self._secret = url, key, secret
        self._agent_name = agent_name
        self._api: api.LiveKitAPI | None = None

    async def open(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ASK_S)
        self._api = api.LiveKitAPI(self._url, self._key, self._secret, timeout=timeout)

    async def aclose(self) -> None:
        if self._api is not None:
            await self._api.aclose()

    async def names(self) -> list[str]:
        """Rooms that somebody is in."""
        found = await self._ask(lambda lk: lk.room.list_rooms(ListRoomsRequest()))
        return [room.name for room in found.rooms]

    async def look(self, room: str, *, known: bool) -> RoomSight | None:
        """None: the room is not ours. `known`: it is, whatever its dispatches say (a restarted server has none)."""
        people = await self._people(room)
        if not people:
            return RoomSight(room, 0)
        dispatches = await self._dispatches(room)
        if not dispatches and not known:
            return None
        callers = [p for p in people if p.kind not in _NO_CALLERS]
        return RoomSight(
            room,
            callers=0 if any(HUMAN in p.attributes for p in callers) else len(callers),  # a person has taken over
            agents=tuple(AgentSight(p.identity, p.joined_at_ms) for p in people if p.kind == ParticipantInfo.AGENT),
            dispatches=tuple(DispatchSight(d.id, tuple(job.id for job in d.state.jobs)) for d in dispatches),
            ringing=bool(callers) and all(map(_is_ringing, callers)),
        )

    async def dispatch(self, action: Dispatch) -> bool:
        """False: another watcher was faster, or the caller has left meanwhile."""
        if not any(p.kind not in _NO_CALLERS for p in await self._people(action.room)):
            return False  # and a dispatch would open the room anew
        if await self._new_dispatches(action):
            return False
        metadata = handover.encode(action.handover.turns, action.handover.reason)
        request = CreateAgentDispatchRequest(agent_name=self._agent_name, room=action.room, metadata=metadata)
        ours = await self._ask(lambda lk: lk.agent_dispatch.create_dispatch(request))
        # Two watchers may have acted in the same moment: both let the oldest stand.
        rivals = sorted(await self._new_dispatches(action), key=lambda d: (d.state.created_at, d.id))
        for dispatch_id in (*(d.id for d in rivals[1:]), *action.replaces):
            await self.withdraw(action.room, dispatch_id)
        return not rivals or rivals[0].id == ours.id

    async def remove(self, room: str, identity: str) -> None:
        who = RoomParticipantIdentity(room=room, identity=identity)
        try:
            await self._ask(lambda lk: lk.room.remove_participant(who))
        except _NotThere:
            log.debug("an agent had left already")

    async def withdraw(self, room: str, dispatch_id: str) -> None:
        """End a dispatch; LiveKit has its job end in good order, or removes the agent."""
        try:
            await self._ask(lambda lk: lk.agent_dispatch.delete_dispatch(dispatch_id, room))
        except _NotThere:
            log.debug("a dispatch was deleted already")

    async def fail(self, room: str, code: FailCode) -> None:
        """The caller's last message, and the end of the room."""
        said = {"code": "call.failed", "reason": code, "message": MESSAGES[code]}
        packet = SendDataRequest(
            room=room, data=json.dumps(said).encode(), kind=DataPacket.Kind.RELIABLE, topic=CALL_TOPIC
        )
        try:
            for _ in range(2):  # LiveKit drops it while the caller's data channel opens, or opens anew
                await self._ask(lambda lk: lk.room.send_data(packet))
                await asyncio.sleep(TOLD_S)
            await self._ask(lambda lk: lk.room.delete_room(DeleteRoomRequest(room=room)))
        except _NotThere:
            log.debug("a room was closed already")

    async def _people(self, room: str) -> list[ParticipantInfo]:
        try:
            found = await self._ask(lambda lk: lk.room.list_participants(ListParticipantsRequest(room=room)))
        except _NotThere:
            return []
        return [p for p in found.participants if p.state != ParticipantInfo.DISCONNECTED]

    async def _dispatches(self, room: str) -> list[AgentDispatch]:
        found = await self._ask(lambda lk: lk.agent_dispatch.list_dispatch(room))
        return [d for d in found if d.agent_name == self._agent_name and not d.state.deleted_at]

    async def _new_dispatches(self, action: Dispatch) -> list[AgentDispatch]:
        return [d for d in await self._dispatches(action.room) if d.id not in action.known]

    async def _ask(self, question: Callable[[api.LiveKitAPI], Awaitable[T]]) -> T:
        assert self._api is not None, "open() comes first"
        try:
            async with asyncio.timeout(ASK_S):
                return await question(self._api)
        except api.ServerError as error:
            raise (_NotThere if error.code == "not_found" else LiveKitFailed)(
                f"LiveKit answered {error.code}"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LiveKitFailed(f"LiveKit does not answer: {type(error).__name__}") from None


def _is_ringing(caller: ParticipantInfo) -> bool:
    """A telephone that the bridge has not answered: if the room is closed now, it is told busy."""
    return caller.kind == ParticipantInfo.SIP and caller.attributes.get(STATUS) == "ringing"


class _NotThere(LiveKitFailed):
    """The room, participant or dispatch is gone."""
