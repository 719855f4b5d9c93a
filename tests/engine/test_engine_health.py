"""What the probes say of an engine that stands still, is full, or works."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import aiohttp
import pytest

from tts_plugin.client import EngineClient
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.health import ALIVE_S, READY_S, not_alive, not_ready
from tts_plugin.protocol import Say

MakeBackend = Callable[..., EmbeddedBackend]
Serve = Callable[..., AbstractContextManager[str]]


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status, await response.text()


async def test_a_thread_that_stands_still_is_unready_within_3_s(
    make_backend: MakeBackend, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, thaw, frozen = make_backend(), threading.Event(), threading.Event()
    real = backend._voice.speak

    def speak(*args, **options):  # type: ignore[no-untyped-def]
        frozen.set()
        assert thaw.wait(30)
        return real(*args, **options)

    monkeypatch.setattr(backend._voice, "speak", speak)
    with serve(backend) as url:
        backend.admit(Say("u"), lambda event: None).feed("Hello there, my dear old friend. ")
        assert await asyncio.to_thread(frozen.wait, 10)
        since = time.monotonic()
        async with asyncio.timeout(20):
            while (answer := await get(f"{url}/readyz"))[0] != 503:
                await asyncio.sleep(0.05)
        took = time.monotonic() - since
        thaw.set()
        assert answer[1].startswith("no step for ")
        assert took < 2 * 3.0, "twice what is promised, for a busy machine"
        assert (await get(f"{url}/livez"))[0] == 200
        async with asyncio.timeout(20):
            while (await get(f"{url}/readyz"))[0] != 200:
                await asyncio.sleep(0.05)


def test_the_limits_are_those_that_are_promised(backend: EmbeddedBackend) -> None:
    now = backend.statistics()
    assert READY_S < 3
    assert ALIVE_S < 10
    assert (
        not_ready(now._replace(last_step_age_s=READY_S + 0.1), draining=False) == f"no step for {READY_S + 0.1:.1f} s"
    )
    assert not_alive(now._replace(last_step_age_s=READY_S + 0.1)) is None
    assert not_alive(now._replace(last_step_age_s=ALIVE_S + 0.1))
    assert not_alive(now._replace(running=False))
    assert not_alive(now._replace(fatal="the device is lost"))
    assert not_ready(now, draining=True) == "draining"
    assert not_ready(now, draining=False) is None


async def test_a_full_engine_is_ready(make_backend: MakeBackend, serve: Serve) -> None:
    with serve(make_backend(max_batch_size=1)) as url:
        client = EngineClient(url)
        await anext(await client.say())
        assert await get(f"{url}/readyz") == (200, "ok\n")
        await client.aclose()
