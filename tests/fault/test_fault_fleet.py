"""A worker is stopped, LiveKit's server dies, more callers come than there is room for: what calls hear of it."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack

import aiohttp
import numpy as np
import pytest
from fault_rig import LONG, MAX_CALLS, Rig, agents, answers, speaking

from worker.bench.caller import SAMPLE_RATE_HZ, Caller, calling
from worker.bench.cluster import wait_for
from worker.bench.hearing import AUDIBLE_PEAK
from worker.bench.speech import speak

LOST_S = 0.4  # of audio
CLOSES_S = 5.0
LANDS_S = 1.0
REFUSED_S = 0.05


async def natural_pause(rig: Rig) -> float:
    """The longest pause in the story, told without any fault, seconds."""
    samples = np.abs(np.frombuffer((await speak(rig.http_url, LONG.text)).pcm, np.int16).astype(np.int32))
    return float(np.diff(np.flatnonzero(samples > AUDIBLE_PEAK)).max()) / SAMPLE_RATE_HZ


@pytest.mark.long
async def test_a_stopping_worker_finishes_three_calls_and_a_new_one_lands_elsewhere(rig: Rig) -> None:
    old, new = rig.cluster.workers
    pause_s = await natural_pause(rig)

    async def attempt() -> float:
        new.kill()
        wait_for(lambda: rig.cluster.serve.json("/health")["fleet"]["free"] == MAX_CALLS, "one worker is left", 15)
        async with AsyncExitStack() as calls:
            callers = [await calls.enter_async_context(rig.call()) for _ in range(MAX_CALLS)]
            new.start()
            await asyncio.to_thread(new.wait_until_ready)
            for caller in callers:
                await speaking(rig, caller, into_s=0.2)
            stopped_s = time.monotonic()
            old.send(signal.SIGTERM)
            await callers[0].until(lambda: old.ask("/readyz")[0] == 503 or None, "it is not ready", deadline_s=5)
            async with calling(rig.http_url) as fresh:
                joined_s = time.monotonic()
                await fresh.agent()
                landed_s = time.monotonic() - joined_s
                assert rig.cluster.worker_of(fresh.invitation.room) is new
            silences = [await rest_of_the_story(caller, stopped_s) for caller in callers]
        ended_s = await asyncio.to_thread(wait_for, lambda: not old.is_up, "the old worker ended", 20)
        print(f"new call: an agent {landed_s:.2f} s after its caller; the worker ended {ended_s:.1f} s after its last")
        rig.record("drain ended_s", round(ended_s, 1))
        assert ended_s <= 2 * CLOSES_S
        assert landed_s <= 3 * LANDS_S  # four callers, four jobs and all else share two cores here
        return max(silences) - pause_s

    await rig.row("SIGTERM with 3 calls: more than the voice's own pauses", LOST_S, attempt)


async def rest_of_the_story(caller: Caller, from_s: float) -> float:
    last_s = await caller.quiet(for_s=1.0)
    assert "tall tower" in " ".join(caller.agent_text)
    return caller.hearing.longest_silence(from_s, last_s)


@pytest.mark.parametrize(("into_s", "down_s"), [(1.0, 1.0), pytest.param(3.0, 0.2, marks=pytest.mark.long)])
async def test_a_call_outlives_the_livekit_server(rig: Rig, into_s: float, down_s: float) -> None:
    async def attempt() -> float:
        async with rig.call() as caller:
            await answers(rig, caller, "The gate is open.")
            first = agents(caller)
            await speaking(rig, caller, into_s=into_s)
            killed_s = time.monotonic()
            rig.cluster.livekit.kill()
            await asyncio.sleep(down_s)  # the fault's own time
            rig.cluster.livekit.start()
            back_s = time.monotonic()
            heard_s = await caller.heard_after(back_s + 0.1, deadline_s=30)
            silence_s = caller.hearing.longest_silence(killed_s, heard_s)
            await caller.quiet(for_s=1.5)
            assert agents(caller) == first, "the same agent goes on"
            await answers(rig, caller)
            assert any("The gate is open." in str(m["content"]) for m in rig.llm.requests[-1].messages)
            print(
                f"LiveKit down for {down_s:g} s: {silence_s:.2f} s of silence, {heard_s - back_s:.2f} s after its start"
            )
            return silence_s - down_s

    await rig.row(f"livekit-server killed and started {down_s:g} s later: silence after that", 3.0, attempt)


async def test_three_times_as_many_callers_as_there_is_room_for(rig: Rig) -> None:
    capacity = MAX_CALLS * len(rig.cluster.workers)
    pause_s = await natural_pause(rig)
    slowest: list[float] = []

    async def attempt() -> float:
        async with rig.call() as caller:
            began_s = await speaking(rig, caller, into_s=0.5)
            async with aiohttp.ClientSession() as http:
                await ask(http, rig.http_url + "/healthz")  # a connection is not what is measured
                burst = [asyncio.create_task(token(http, rig.http_url)) for _ in range(3 * capacity)]
                answered = await asyncio.gather(*burst)
                alone = [await token(http, rig.http_url) for _ in range(5)]
            statuses = [status for status, _ in answered]
            assert statuses.count(201) == capacity - 1, statuses
            assert statuses.count(503) == 2 * capacity + 1, statuses
            assert {status for status, _ in alone} == {503}
            burst_s, alone_s = (max(took for status, took in a if status == 503) for a in (answered, alone))
            print(f"{3 * capacity} callers: refused in {burst_s * 1000:.0f} ms, one by one in {alone_s * 1000:.1f} ms")
            slowest[:] = [burst_s, alone_s]
            last_s = await caller.quiet(for_s=1.0)
            return caller.hearing.longest_silence(began_s, last_s) - pause_s

    await rig.row("3 x capacity: more silence in a call than the voice's own pauses", LOST_S, attempt)
    assert slowest[1] <= REFUSED_S
    assert slowest[0] <= 10 * REFUSED_S  # the burst, its client and the service share two cores
    wait_for(lambda: rig.cluster.serve.json("/health")["fleet"]["free"] == capacity, "places are given back", 25)


async def ask(http: aiohttp.ClientSession, url: str) -> None:
    async with http.get(url) as answer:
        await answer.read()


async def token(http: aiohttp.ClientSession, url: str) -> tuple[int, float]:
    began_s = time.monotonic()
    async with http.post(f"{url}/token", json={}) as answer:
        body = await answer.json()
        if answer.status == 503:
            assert body["code"] == "at_capacity"
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status, time.monotonic() - began_s
