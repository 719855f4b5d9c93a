"""The real livekit-server with livekit.yaml, as `tts-ops dev` starts it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import aiohttp
import psutil
import pytest
from livekit import api

from worker.dev.livekit import LiveKitKey, server_environment
from worker.setup import livekit_server

pytestmark = pytest.mark.system
KEY = LiveKitKey.fresh()


@pytest.fixture
async def server(missing: Callable[[str], NoReturn]) -> AsyncIterator[tuple[int, int, psutil.Process]]:
    """TCP port, UDP port and process of a running server."""
    program = livekit_server.find() or missing("livekit-server")
    tcp, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    env = os.environ | server_environment(KEY, port=tcp, udp_port=udp)
    process = await asyncio.create_subprocess_exec(program, env=env)
    try:
        await until_it_answers(f"http://127.0.0.1:{tcp}/")
        yield tcp, udp, psutil.Process(process.pid)
    finally:
        process.kill()
        await process.wait()


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(type=kind) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


async def until_it_answers(url: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def test_it_listens_on_this_machine_only(server: tuple[int, int, psutil.Process]) -> None:
    tcp, udp, process = server
    sockets = process.net_connections(kind="inet")
    listening = {
        (s.laddr.ip, s.laddr.port) for s in sockets if s.type == socket.SOCK_DGRAM or s.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", tcp), ("127.0.0.1", udp)}


async def test_it_takes_the_key_from_the_environment(server: tuple[int, int, psutil.Process]) -> None:
    async with api.LiveKitAPI(f"http://127.0.0.1:{server[0]}", KEY.name, KEY.secret) as client:
        room = await client.room.create_room(api.CreateRoomRequest(name="a-room"))
    assert room.departure_timeout == 3
    assert KEY.secret not in " ".join(server[2].cmdline())


async def test_it_sends_callers_to_no_server_outside(server: tuple[int, int, psutil.Process]) -> None:
    """The join response names the STUN servers that a browser will ask."""
    token = (
        api.AccessToken(KEY.name, KEY.secret).with_identity("me").with_grants(api.VideoGrants(room_join=True, room="r"))
    )
    url = f"ws://127.0.0.1:{server[0]}/rtc?access_token={token.to_jwt()}&protocol=9&auto_subscribe=1"
    async with asyncio.timeout(10), aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        first = (await ws.receive()).data
    assert b"stun:127.0.0.1:" in first
    assert b"google" not in first
    assert b"twilio" not in first
