"""A whole installation: what the watcher does for a caller when the agent's process dies, and when there are two."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from livekit import api

from worker.bench.caller import Caller, calling
from worker.bench.scripted_llm import ScriptedLlm, scripted_llm
from worker.bench.stack import EMBEDDED, Stack, running_stack
from worker.setup import livekit_server

pytestmark = [pytest.mark.system, pytest.mark.timeout(180, method="signal")]
BUSY = 2.0  # a machine that runs other tests may take twice what is promised
KILLED_S = 3.0


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


def job_of_the_call(stack: Stack) -> psutil.Process:
    """The one Python process below the worker that holds media sockets."""
    found = []
    for process in stack.processes():
        with suppress(psutil.Error):
            deep = process.ppid() not in (stack.process.pid, os.getpid())
            if deep and "python" in process.name() and process.net_connections(kind="udp"):
                found.append(process)
    assert len(found) == 1, found
    return found[0]


def count(stack: Stack, sample: str) -> float:
    with urllib.request.urlopen(f"{stack.http_url}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))


def agents(caller: Caller) -> list[str]:
    return [p.identity for p in caller._room.remote_participants.values() if p.identity.startswith("agent-")]


async def test_a_killed_job_is_replaced_in_the_same_room_with_the_history(
    stack: Stack, llm: ScriptedLlm, caller: Caller, record_property: Callable[[str, object], None]
) -> None:
    (first,) = agents(caller)
    ghosts = count(stack, "voice_ghosts_removed_total")
    job = job_of_the_call(stack)
    killed_s = time.monotonic()
    os.kill(job.pid, signal.SIGKILL)
    await caller.until(lambda: first not in agents(caller) and agents(caller), "another agent came", deadline_s=20)
    silent_s = await caller.heard_after(killed_s + 0.2, deadline_s=20) - killed_s
    print(f"job killed: an agent speaks after {silent_s:.2f} s")
    record_property("job_killed_silence_s", round(silent_s, 2))
    assert silent_s <= KILLED_S * BUSY
    await caller.quiet()
    assert len(agents(caller)) == 1
    assert count(stack, "voice_ghosts_removed_total") == ghosts + 1
    asked_s = await caller.type("What did I ask?")
    await caller.heard_after(asked_s)
    said = [message["content"] for message in llm.requests[-1].messages]
    assert "Is the gate open?" in said
    assert "What did I ask?" in said[-1]


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
