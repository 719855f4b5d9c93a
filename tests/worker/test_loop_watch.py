"""A loop that is late, and one that gets no turn at all."""

import asyncio
import logging
import threading
import time

import pytest

from worker import loop_watch
from worker.loop_watch import BLOCKED_LOOKS, BlockedLoop, LoopLag


async def test_the_longest_delay_of_each_period_is_told(monkeypatch):
    monkeypatch.setattr(loop_watch, "REPORT_S", 0.3)
    told: list[float] = []
    lag = LoopLag(told.append)
    lag.start()
    await asyncio.sleep(0)
    time.sleep(0.6)  # noqa: ASYNC251
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    await lag.aclose()
    assert told[0] >= 0.4


async def test_it_leaves_no_task():
    before = asyncio.all_tasks()
    lag = LoopLag(lambda _: None)
    lag.start()
    await lag.aclose()
    assert asyncio.all_tasks() == before


@pytest.fixture
def lag() -> LoopLag:
    return LoopLag(lambda _: None)


def test_a_loop_without_turns_is_blocked_and_back_with_the_next_one(lag):
    watch = BlockedLoop(lag, thread_id=threading.get_ident())
    for _ in range(BLOCKED_LOOKS):
        watch.look()
    assert not watch.is_blocked
    watch.look()
    assert watch.is_blocked
    lag.ticks += 1
    watch.look()
    assert not watch.is_blocked


def test_a_slow_loop_is_not_blocked(lag):
    watch = BlockedLoop(lag, thread_id=threading.get_ident())
    for look in range(100):
        lag.ticks += look % BLOCKED_LOOKS == 0
        watch.look()
        assert not watch.is_blocked


def test_the_log_says_once_where_it_is_blocked(lag, caplog):
    watch = BlockedLoop(lag, thread_id=threading.get_ident())
    with caplog.at_level(logging.ERROR):
        for _ in range(3 * BLOCKED_LOOKS):
            watch.look()
    assert len(caplog.records) == 1
    assert "test_the_log_says_once_where_it_is_blocked" in caplog.text


async def test_a_thread_sees_what_the_blocked_loop_cannot_say(lag, monkeypatch):
    monkeypatch.setattr(loop_watch, "LOOK_S", 0.02)
    lag.start()
    watch = BlockedLoop(lag, thread_id=threading.get_ident())
    watch.start()
    try:
        deadline = time.monotonic() + 20
        while not watch.is_blocked and time.monotonic() < deadline:  # this very loop stands still
            time.sleep(0.01)  # noqa: ASYNC251
        assert watch.is_blocked
        async with asyncio.timeout(20):
            while watch.is_blocked:
                await asyncio.sleep(0.01)
    finally:
        watch.close()
        await lag.aclose()
