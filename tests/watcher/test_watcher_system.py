"""A whole installation: what the watcher does when there are two agents, and when a call ends.

When an agent dies: tests/fault/test_fault_jobs.py.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from livekit import api

from worker.bench.caller import Caller, calling
from worker.bench.scripted_llm import ScriptedLlm, scripted_llm
from worker.bench.stack import EMBEDDED, Stack, running_stack
from worker.setup import livekit_server

pytestmark = [pytest.mark.system, pytest.mark.timeout(180, method="signal")]


@pytest.fixture(scope="module")
def llm() -> Iterator[ScriptedLlm]:
    with scripted_llm() as llm:
        yield llm


@pytest.fixture(scope="module")
def stack(
    llm: ScriptedLlm, missing: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    if livekit_server.find() is None:
        missing("livekit-server (`make setup` builds it)")
    log: Path = tmp_path_factory.mktemp("watched") / "dev.log"
    env = EMBEDDED | {"LLM_PROVIDER": "local", "OPENAI_BASE_URL": llm.url, "MAX_CALLS": "3"}
    with running_stack(log, env) as stack:
        yield stack


@pytest.fixture
async def caller(stack: Stack) -> AsyncIterator[Caller]:
    """A caller who has talked with the agent."""
    async with calling(stack.http_url) as caller:
        await caller.heard_after(0.0, deadline_s=30)
        await caller.interrupt()
        await caller.quiet()
        asked_s = await caller.type("Is the gate open?")
        await caller.over(await caller.heard_after(asked_s))
        yield caller


def count(stack: Stack, sample: str) -> float:
    with urllib.request.urlopen(f"{stack.http_url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))


def agents(caller: Caller) -> list[str]:
    return [p.identity for p in caller._room.remote_participants.values() if p.identity.startswith("agent-")]


async def test_of_two_agents_the_one_that_talks_stays(stack: Stack, caller: Caller) -> None:
    (first,) = agents(caller)
    env = stack.environment_of("worker")
    request = api.CreateAgentDispatchRequest(agent_name=stack.settings.agent_name, room=caller.invitation.room)
    async with api.LiveKitAPI(env["LIVEKIT_URL"], env["LIVEKIT_API_KEY"], env["LIVEKIT_API_SECRET"]) as livekit:
        await livekit.agent_dispatch.create_dispatch(request)
    await caller.until(lambda: len(agents(caller)) == 2, "a second agent came", deadline_s=20)
    await caller.until(lambda: agents(caller) == [first], "the second agent left", deadline_s=10)
    await caller.quiet()
    asked_s = await caller.type("Are you still there?")
    await caller.heard_after(asked_s)
    assert agents(caller) == [first]


async def test_the_end_of_a_call_brings_no_agent(stack: Stack) -> None:
    sent_for = count(stack, "voice_redispatches_total")
    async with calling(stack.http_url) as caller:
        await caller.heard_after(0.0, deadline_s=30)
    async with asyncio.timeout(20):
        while stack.free < 3:
            await asyncio.sleep(0.05)
    assert count(stack, "voice_redispatches_total") == sent_for
    assert count(stack, 'voice_webhooks_total{result="taken"}') > 0
