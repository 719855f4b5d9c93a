"""Clients that vanish: their utterances are cancelled at once, and nothing of them stays."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import statistics
import time

import aiohttp
import pytest

from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.stream import StreamConnection

CLIENTS = 200
TEXT = "Well, I would like to tell you a long story about a small house by the sea. " * 3


async def until(condition, within_s: float = 10.0) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def connections() -> int:
    gc.collect()
    return sum(type(thing) is StreamConnection for thing in gc.get_objects())  # isinstance would ask lazy objects


async def vanish(http: aiohttp.ClientSession, url: str, dice: random.Random, backend: EmbeddedBackend) -> float | None:
    """Says something, at some moment is gone without a word; seconds until the slot was free, if there was one."""
    socket = await http.ws_connect(f"{url}/stream")
    await socket.send_str(json.dumps({"type": "hello", "protocol": 1}))
    await socket.receive()
    if dice.random() < 0.9:
        await socket.send_str(json.dumps({"type": "say", "id": "u"}))
        text = TEXT[: dice.randrange(len(TEXT))]
        await socket.send_str(json.dumps({"type": "text", "id": "u", "text": text}))
        for _ in range(dice.choice([0, 1, 1, 3] if len(text) > 40 else [0, 1])):  # started, and then the first sound
            await socket.receive()
    spoke = backend.statistics().active > 0
    transport = socket.get_extra_info("socket")
    assert transport is not None
    gone_at = time.monotonic()
    socket._response.connection.transport.abort()  # type: ignore[union-attr]
    if not spoke:
        return None
    await until(lambda: backend.statistics().active == 0)
    return time.monotonic() - gone_at


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files as Linux shows them")
async def test_two_hundred_clients_that_vanish_leave_no_slot_no_file_and_no_connection(
    server_url: str, backend: EmbeddedBackend
) -> None:
    dice, took = random.Random(5), []
    async with aiohttp.ClientSession() as http:
        await vanish(http, server_url, dice, backend)
        await until(lambda: connections() == 0)
        before = open_files()
        for _ in range(CLIENTS):
            seconds = await vanish(http, server_url, dice, backend)
            took += [] if seconds is None else [seconds]
        await until(lambda: connections() == 0)
        await until(lambda: open_files() <= before)
    now = backend.statistics()
    print(f"slot free after {statistics.median(took) * 1e3:.0f} ms, worst {max(took) * 1e3:.0f} ms, of {len(took)}")
    assert len(took) > CLIENTS / 2
    assert now.active == 0
    assert now.cancelled_total + now.failed_total >= len(took)
    assert statistics.median(took) <= 0.3
    assert max(took) <= 2.0
