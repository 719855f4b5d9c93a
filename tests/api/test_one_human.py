"""The room that a join token makes, on a real livekit-server: one human, agents on top, nothing but a microphone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import aiohttp
import pytest
from http_parts import SECRET, settings_for_test
from livekit import api, rtc

from worker.api.join_token import TokenAnswer, minter
from worker.setup.livekit_server import find

pytestmark = pytest.mark.system

KEY = "devkey"
Join = Callable[[str], Awaitable[rtc.Room]]


@pytest.fixture(scope="module")
def livekit_url(missing: Callable[[str], NoReturn], build_dir: Path) -> Iterator[str]:
    program = find() or missing("livekit-server (`make setup` builds it)")
    port, udp_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    rtc_config = f"{{udp_port: {udp_port}, tcp_port: 0, node_ip: 127.0.0.1}}"
    config = f"{{port: {port}, bind_addresses: [127.0.0.1], rtc: {rtc_config}}}"
    env = {"PATH": os.environ["PATH"], "LIVEKIT_CONFIG": config, "LIVEKIT_KEYS": f"{KEY}: {SECRET}"}
    with (build_dir / "one-human-livekit.log").open("w") as log:
        process = subprocess.Popen([str(program)], env=env, stdout=log, stderr=log)
        try:
            asyncio.run(answering(f"http://127.0.0.1:{port}", process))
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.kill()  # SIGTERM waits until everybody has left
            process.wait(timeout=10)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


async def answering(url: str, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while process.poll() is None:
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
    pytest.fail("livekit-server ended at once")


def token(livekit_url: str, room: str) -> TokenAnswer:
    settings = settings_for_test(livekit_url=livekit_url, livekit_api_key=KEY)
    return minter(settings)(room, "Ann")


def agent_token(room: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room, agent=True)
    made = api.AccessToken(KEY, SECRET).with_identity("agent").with_kind("agent").with_grants(grants)
    return made.to_jwt()


@pytest.fixture
async def join(livekit_url: str) -> AsyncIterator[Join]:
    """Joins with a token; everybody leaves at the test's end, whatever happened."""
    rooms: list[rtc.Room] = []

    async def join_one(join_token: str) -> rtc.Room:
        rooms.append(rtc.Room())
        async with asyncio.timeout(15):
            await rooms[-1].connect(livekit_url, join_token, rtc.RoomOptions(connect_timeout=5))
        return rooms[-1]

    yield join_one
    for room in rooms:
        await room.disconnect()


async def test_agents_come_on_top_and_a_second_human_is_refused(livekit_url: str, join: Join) -> None:
    first, second = token(livekit_url, "call-1"), token(livekit_url, "call-1")
    human = await join(first.participant_token)
    agent = await join(agent_token("call-1"))
    assert human.local_participant.identity in agent.remote_participants
    with pytest.raises(rtc.ConnectError):
        await join(second.participant_token)


async def test_a_human_may_come_back_while_the_agent_is_there(livekit_url: str, join: Join) -> None:
    made = token(livekit_url, "call-2")
    human = await join(made.participant_token)
    await join(agent_token("call-2"))
    await human.disconnect()
    again = await join(made.participant_token)
    assert again.remote_participants.keys() == {"agent"}


async def test_a_human_whose_connection_broke_may_come_back(livekit_url: str, join: Join) -> None:
    made = token(livekit_url, "call-3")
    await join(made.participant_token)
    again = await join(made.participant_token)
    assert again.isconnected()


async def test_a_token_opens_its_own_room_only_and_manages_nothing(livekit_url: str, join: Join) -> None:
    made = token(livekit_url, "call-4")
    human = await join(made.participant_token)
    assert human.name == "call-4"
    headers = {"Authorization": f"Bearer {made.participant_token}"}
    async with aiohttp.ClientSession(livekit_url.replace("ws", "http"), headers=headers) as session:
        for deed, body in (
            ("ListRooms", {}),
            ("CreateRoom", {"name": "mine"}),
            ("ListParticipants", {"room": "call-4"}),
            ("DeleteRoom", {"room": "call-4"}),
        ):
            async with session.post(f"/twirp/livekit.RoomService/{deed}", json=body) as response:
                assert response.status in (401, 403), deed


async def test_a_camera_may_not_be_published(livekit_url: str, join: Join) -> None:
    human = await join(token(livekit_url, "call-5").participant_token)
    picture = rtc.LocalVideoTrack.create_video_track("picture", rtc.VideoSource(64, 64))
    camera = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
    with pytest.raises(TimeoutError):  # the server leaves the wish unanswered
        await asyncio.wait_for(human.local_participant.publish_track(picture, camera), 1)
    voice = rtc.LocalAudioTrack.create_audio_track("voice", rtc.AudioSource(48_000, 1))
    microphone = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await human.local_participant.publish_track(voice, microphone)
    wanted = api.RoomParticipantIdentity(room="call-5", identity=human.local_participant.identity)
    async with api.LiveKitAPI(livekit_url.replace("ws", "http"), KEY, SECRET) as livekit:
        async with asyncio.timeout(10):  # a track is listed once its media arrives
            while not (seen := await livekit.room.get_participant(wanted)).tracks:
                await asyncio.sleep(0.1)
    assert [track.source for track in seen.tracks] == [rtc.TrackSource.SOURCE_MICROPHONE]


async def test_a_room_that_everybody_left_is_gone_soon(livekit_url: str, join: Join) -> None:
    made = token(livekit_url, "call-6")
    human = await join(made.participant_token)
    await human.disconnect()
    async with api.LiveKitAPI(livekit_url.replace("ws", "http"), KEY, SECRET) as livekit:
        async with asyncio.timeout(15):
            while (await livekit.room.list_rooms(api.ListRoomsRequest(names=["call-6"]))).rooms:
                await asyncio.sleep(0.2)
