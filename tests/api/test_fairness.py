"""A text that is already spoken does not hold the service up while it is encoded: others have their turn in between."""

from __future__ import annotations

import asyncio

from http_parts import Engine

from tts_plugin.client import EngineClient
from worker.api.speech import Speech


async def test_sound_that_waits_does_not_keep_others_waiting(engine: Engine) -> None:
    client = EngineClient(engine.url)
    speech = await Speech.open(client, "default", "file")
    speech.feed("The library opens at nine in the morning. " * 8)
    speech.end()
    await speech.start()
    async with asyncio.timeout(20):
        while not speech._utterance.over:  # all of it has arrived
            await asyncio.sleep(0.01)
    turns = pieces = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(other())
    async for _ in speech.sounds():
        pieces += 1
    counting.cancel()
    assert pieces > 20
    assert turns >= pieces - 3
    await client.aclose()
