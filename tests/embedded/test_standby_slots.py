"""A worker can tell from the models process's /health how many calls the standby voice carries."""

from __future__ import annotations

import aiohttp

from worker.embedded.server import Models
from worker.engine_slots import EngineSlots


async def test_the_standby_counts_when_no_engine_answers(models_url: str, models: Models) -> None:
    slots = EngineSlots(["http://127.0.0.1:9"], models_url)
    async with aiohttp.ClientSession() as session, session.get(f"{models_url}/health") as response:
        slots.note(models_url, await response.json())
    assert slots.total == models.voice.statistics().slots > 0
