"""The watcher's eyes and hands on a real livekit-server: a caller joins, no worker is there."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import pytest
from livekit import api, rtc

from worker import handover
from worker.dev.livekit import LiveKitKey, server_environment
from worker.handover import Handover, Turn
from worker.setup import livekit_server
from worker.watch.actions import Dispatch
from worker.watch.livekit_rooms import LiveKitFailed, LiveKitRooms
from worker.watch.sights import RoomSight

pytestmark = pytest.mark.system
KEY = LiveKitKey.fresh()
AGENT = "ours"
TOLD = Handover((Turn("user", "Is the gate open?"),), "job_lost")


@pytest.fixture(scope="module")
def url(missing: Callable[[str], NoReturn]) -> Iterator[str]:
    program = livekit_server.find() or missing("livekit-server")
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        for each in (tcp, udp):
            each.bind(("127.0.0.1", 0))
        port, udp_port = tcp.getsockname()[1], udp.getsockname()[1]
    process = subprocess.Popen([program], env=os.environ | server_environment(KEY, port=port, udp_port=udp_port))
    try:
        deadline = time.monotonic() + 20
        while not answers(f"http://127.0.0.1:{port}/"):
            assert time.monotonic() < deadline, "livekit-server does not answer"
            time.sleep(0.05)
        yield f"ws://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=2):
        return True
    return False


@pytest.fixture
async def rooms(url: str) -> AsyncIterator[LiveKitRooms]:
    rooms = LiveKitRooms(url, KEY.name, KEY.secret, agent_name=AGENT)
    await rooms.open()
    yield rooms
    await rooms.aclose()


@asynccontextmanager
async def joined(url: str, room: str, *, agent: str = AGENT, kind: str | None = None) -> AsyncIterator[rtc.Room]:
    """Somebody in a room that asks for `agent`."""
    token = api.AccessToken(KEY.name, KEY.secret).with_identity(f"someone in {room} {kind or ''}")
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


def known(look: RoomSight) -> tuple[str, ...]:
    return tuple(d.dispatch_id for d in look.dispatches)


async def look_at(rooms: LiveKitRooms, room: str) -> RoomSight:
    look = await rooms.look(room, known=False)
    assert look is not None
    return look


async def test_a_caller_without_an_agent_is_seen(url: str, rooms: LiveKitRooms) -> None:
    async with joined(url, "call-1"):
        look = await look_at(rooms, "call-1")
        assert (look.callers, look.agents, len(look.dispatches)) == (1, (), 1)
        assert look.dispatches[0].job_ids == ()
        assert "call-1" in await rooms.names()


async def test_an_agent_is_no_caller(url: str, rooms: LiveKitRooms) -> None:
    async with joined(url, "call-2"), joined(url, "call-2", kind="agent"):
        look = await look_at(rooms, "call-2")
        assert (look.callers, len(look.agents)) == (1, 1)
        await rooms.remove("call-2", look.agents[0].identity)
        await rooms.remove("call-2", "agent-that-never-was")
        assert (await look_at(rooms, "call-2")).agents == ()


async def test_rooms_of_others_are_not_ours(url: str, rooms: LiveKitRooms) -> None:
    async with joined(url, "call-3", agent="theirs"), joined(url, "call-4", agent=""):
        assert await rooms.look("call-3", known=False) is None
        assert await rooms.look("call-4", known=False) is None
        assert await rooms.look("call-4", known=True) is not None


async def test_an_agent_is_sent_for_with_the_history(url: str, rooms: LiveKitRooms) -> None:
    async with joined(url, "call-5"), api.LiveKitAPI(url, KEY.name, KEY.secret) as livekit:
        before = known(await look_at(rooms, "call-5"))
        assert await rooms.dispatch(Dispatch("call-5", TOLD, replaces=before, known=before))
        (dispatch,) = await livekit.agent_dispatch.list_dispatch("call-5")
        assert dispatch.id not in before
        assert handover.decode(dispatch.metadata) == TOLD


async def test_a_history_of_the_greatest_length_is_taken(url: str, rooms: LiveKitRooms) -> None:
    async with joined(url, "call-6"):
        before = known(await look_at(rooms, "call-6"))
        long = Handover(tuple(Turn("user", "ä" * 4_000) for _ in range(20)), "job_lost")
        assert await rooms.dispatch(Dispatch("call-6", long, known=before))


async def test_two_watchers_at_once_leave_one_dispatch(url: str, rooms: LiveKitRooms) -> None:
    async with joined(url, "call-7"):
        before = known(await look_at(rooms, "call-7"))
        order = Dispatch("call-7", TOLD, replaces=before, known=before)
        done = await asyncio.gather(*(rooms.dispatch(order) for _ in range(4)))
        assert sum(done) == 1
        assert len((await look_at(rooms, "call-7")).dispatches) == 1


async def test_where_nobody_is_left_nobody_is_sent_for(rooms: LiveKitRooms) -> None:
    assert not await rooms.dispatch(Dispatch("call-8", TOLD))
    assert "call-8" not in await rooms.names()
    assert await look_at(rooms, "call-8") == RoomSight("call-8", 0)


async def test_a_call_that_fails_says_why_and_ends(url: str, rooms: LiveKitRooms) -> None:
    said: list[tuple[str | None, dict[str, str]]] = []
    ended = asyncio.Event()
    async with joined(url, "call-9") as caller:
        caller.on("data_received", lambda packet: said.append((packet.topic, json.loads(packet.data))))
        caller.on("disconnected", lambda *_: ended.set())
        await rooms.fail("call-9", "no_agent")
        async with asyncio.timeout(10):
            await ended.wait()
    ((topic, message),) = said
    assert topic == "tts-ops.call"
    assert (message["code"], message["reason"]) == ("call.failed", "no_agent")
    assert "call again" in message["message"]


async def test_a_server_that_is_not_there_is_an_error_within_its_deadline() -> None:
    nowhere = LiveKitRooms("ws://127.0.0.1:9", KEY.name, KEY.secret, agent_name=AGENT)
    await nowhere.open()
    with pytest.raises(LiveKitFailed, match="does not answer"):
        await nowhere.names()
    await nowhere.aclose()
