"""The watcher's eyes and hands on a real livekit-server: a caller joins, no worker is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from livekit import api
from livekit_people import AGENT, KEY, joined

from worker import handover
from worker.handover import Handover, Turn
from worker.watch.actions import Dispatch
from worker.watch.livekit_rooms import LiveKitFailed, LiveKitRooms
from worker.watch.sights import RoomSight

pytestmark = pytest.mark.system
TOLD = Handover((Turn("user", "Is the gate open?"),), "job_lost")


@pytest.fixture
async def rooms(livekit_url: str) -> AsyncIterator[LiveKitRooms]:
    rooms = LiveKitRooms(livekit_url, KEY.name, KEY.secret, agent_name=AGENT)
    await rooms.open()
    yield rooms
    await rooms.aclose()


def known(look: RoomSight) -> tuple[str, ...]:
    return tuple(d.dispatch_id for d in look.dispatches)


async def look_at(rooms: LiveKitRooms, room: str) -> RoomSight:
    look = await rooms.look(room, known=False)
    assert look is not None
    return look


async def test_a_caller_without_an_agent_is_seen(livekit_url: str, rooms: LiveKitRooms) -> None:
    async with joined(livekit_url, "call-1"):
        look = await look_at(rooms, "call-1")
        assert (look.callers, look.agents, len(look.dispatches)) == (1, (), 1)
        assert look.dispatches[0].job_ids == ()
        assert "call-1" in await rooms.names()


async def test_an_agent_is_no_caller(livekit_url: str, rooms: LiveKitRooms) -> None:
    async with joined(livekit_url, "call-2"), joined(livekit_url, "call-2", kind="agent"):
        look = await look_at(rooms, "call-2")
        assert (look.callers, len(look.agents)) == (1, 1)
        await rooms.remove("call-2", look.agents[0].identity)
        await rooms.remove("call-2", "agent-that-never-was")
        assert (await look_at(rooms, "call-2")).agents == ()


async def test_rooms_of_others_are_not_ours(livekit_url: str, rooms: LiveKitRooms) -> None:
    async with joined(livekit_url, "call-3", agent="theirs"), joined(livekit_url, "call-4", agent=""):
        assert await rooms.look("call-3", known=False) is None
        assert await rooms.look("call-4", known=False) is None
        assert await rooms.look("call-4", known=True) is not None


async def test_an_agent_is_sent_for_with_the_history(livekit_url: str, rooms: LiveKitRooms) -> None:
    async with joined(livekit_url, "call-5"), api.LiveKitAPI(livekit_url, KEY.name, KEY.secret) as livekit:
        before = known(await look_at(rooms, "call-5"))
        assert await rooms.dispatch(Dispatch("call-5", TOLD, replaces=before, known=before))
        (dispatch,) = await livekit.agent_dispatch.list_dispatch("call-5")
        assert dispatch.id not in before
        assert handover.decode(dispatch.metadata) == TOLD


async def test_a_history_of_the_greatest_length_is_taken(livekit_url: str, rooms: LiveKitRooms) -> None:
    async with joined(livekit_url, "call-6"):
        before = known(await look_at(rooms, "call-6"))
        long = Handover(tuple(Turn("user", "ä" * 4_000) for _ in range(20)), "job_lost")
        assert await rooms.dispatch(Dispatch("call-6", long, known=before))


async def test_two_watchers_at_once_leave_one_dispatch(livekit_url: str, rooms: LiveKitRooms) -> None:
    async with joined(livekit_url, "call-7"):
        before = known(await look_at(rooms, "call-7"))
        order = Dispatch("call-7", TOLD, replaces=before, known=before)
        done = await asyncio.gather(*(rooms.dispatch(order) for _ in range(4)))
        assert sum(done) == 1
        assert len((await look_at(rooms, "call-7")).dispatches) == 1


async def test_where_nobody_is_left_nobody_is_sent_for(rooms: LiveKitRooms) -> None:
    assert not await rooms.dispatch(Dispatch("call-8", TOLD))
    assert "call-8" not in await rooms.names()
    assert await look_at(rooms, "call-8") == RoomSight("call-8", 0)


async def test_a_call_that_fails_says_why_and_ends(livekit_url: str, rooms: LiveKitRooms) -> None:
    said: list[tuple[str | None, bytes]] = []
    ended = asyncio.Event()
    async with (
        asyncio.timeout(30),
        joined(livekit_url, "call-9") as caller,
        api.LiveKitAPI(livekit_url, KEY.name, KEY.secret) as livekit,
    ):
        caller.on("data_received", lambda packet: said.append((packet.topic, packet.data)))
        caller.on("disconnected", lambda *_: ended.set())
        while not said:  # until the caller's data channel is open
            await livekit.room.send_data(api.SendDataRequest(room="call-9", data=b"!", topic="test"))
            await asyncio.sleep(0.05)
        await rooms.fail("call-9", "no_agent")
        await ended.wait()
    (message,) = {data for topic, data in said if topic == "tts-ops.call"}
    told = json.loads(message)
    assert (told["code"], told["reason"]) == ("call.failed", "no_agent")
    assert "call again" in told["message"]


async def test_a_server_that_is_not_there_is_an_error_within_its_deadline() -> None:
    nowhere = LiveKitRooms("ws://127.0.0.1:9", KEY.name, KEY.secret, agent_name=AGENT)
    await nowhere.open()
    with pytest.raises(LiveKitFailed, match="does not answer"):
        await nowhere.names()
    await nowhere.aclose()
