"""The models process says it is well only while its recogniser and its voice get on with their work."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import aiohttp
import numpy as np
import pytest

from tts_plugin.engine.backend import Statistics
from worker.embedded import server
from worker.embedded.recogniser import Recogniser
from worker.embedded.server import Models


class Hanging:
    """A recogniser's model that never ends a pass, until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def transcribe(self, *_: object) -> list[int]:
        self.let_go.wait(30)
        return []

    def text(self, _: object) -> str:
        return ""


async def probed(url: str, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as response:
        return response.status, await response.text()


async def test_all_is_well_while_nothing_hangs(models_url: str) -> None:
    for path in ("/livez", "/readyz", "/startupz"):
        assert await probed(models_url, path) == (200, "ok\n")


async def test_a_pass_that_never_ends_makes_it_unwell_and_says_so(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Hanging()
    recogniser = Recogniser(model)  # type: ignore[arg-type]
    hanging = asyncio.create_task(recogniser.hear(np.zeros(160, np.int16).tobytes()), name="hanging-pass")
    try:
        while recogniser.statistics().running == 0:
            await asyncio.sleep(0.01)
        stuck = replace(models, recogniser=recogniser)
        assert server._stuck(stuck) is None
        monkeypatch.setattr("worker.embedded.recogniser.time.monotonic", lambda now=time.monotonic: now() + 60)
        said = server._stuck(stuck)
        assert said is not None
        assert said.startswith("the recogniser has been at one pass for 6")
    finally:
        model.let_go.set()
        await hanging
    assert recogniser.longest_pass_s == 0


@pytest.mark.parametrize(("path", "age_s", "status"), [("/readyz", 3, 503), ("/livez", 3, 200), ("/livez", 9, 503)])
async def test_a_voice_that_stands_still_makes_it_unready_then_dead(
    models: Models, models_url: str, monkeypatch: pytest.MonkeyPatch, path: str, age_s: float, status: int
) -> None:
    now: Statistics = models.voice.statistics()
    monkeypatch.setattr(models.voice, "statistics", lambda: now._replace(last_step_age_s=age_s))
    assert (await probed(models_url, path))[0] == status
