"""Workers come and go by load, rollout and eviction, and no call is cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from k8s_calls import until
from k8s_rig import READY_S, Rig

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(400)]


async def so(rig: Rig, is_so: Callable[[], bool], what: str, deadline_s: float) -> float:
    try:
        return await until(is_so, what, deadline_s)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{rig.story()}") from None


def test_the_chart_is_installed_and_a_worker_is_ready(rig: Rig, figures: list[str]) -> None:
    rig.helm(rig.values())
    began = time.monotonic()
    asyncio.run(so(rig, lambda: len(rig.ready()) == 1, "one worker was ready", READY_S))
    figures.append(f"installed → first worker ready: {time.monotonic() - began:.1f} s")
    asyncio.run(so(rig, lambda: rig.serving() == 0, "Prometheus told its calls", 20))

    async def one_call() -> None:
        callers = rig.callers()
        (call,) = await callers.add()
        await call.answered()
        await call.hang_up()
        assert callers.cut == []

    asyncio.run(one_call())
