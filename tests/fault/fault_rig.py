"""What the rows of the fault suite share: a fleet, a language model behind a proxy, callers, a stopwatch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from worker.bench.caller import Caller, calling
from worker.bench.cluster import Cluster
from worker.bench.fault_proxy import FaultProxy
from worker.bench.program import Program
from worker.bench.scripted_llm import Reply, ScriptedLlm

MAX_CALLS = 3
LONG = Reply(
    "I will now tell you the long story of the old town at the river, where many people lived and worked and sang. "
    "They traded in wool and salt and glass for more than a thousand years before the railway came. "
    "It brought visitors from every part of the country, who wanted to see the famous bridge and the tall tower."
)
STALL_S = 0.5  # a machine that stands still for longer cannot keep a promise in seconds
TICK_S = 0.01


class Ticker:
    """Notes how late this machine runs a thread that only wants to wake up: its own share of any silence."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque(maxlen=20_000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-ticker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(2)

    def worst(self, from_s: float) -> float:
        return max((late for at, late in list(self._late) if at >= from_s), default=0.0)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            if now - due > 0.02:
                self._late.append((now, now - due))
            due = now + TICK_S


@dataclass(slots=True)
class Rig:
    cluster: Cluster
    llm: ScriptedLlm
    proxy: FaultProxy  # between the jobs and the language model
    stt: FaultProxy  # between the jobs and the embedded models
    ticker: Ticker
    record: Callable[[str, object], None] = field(default=lambda *_: None)

    @property
    def http_url(self) -> str:
        return self.cluster.http_url

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Caller]:
        """A caller who has been greeted, in a room with an agent that listens."""
        async with calling(self.http_url) as caller:
            await caller.heard_after(0.0, deadline_s=30)
            await caller.quiet(for_s=0.4)
            yield caller

    async def row(self, name: str, promise_s: float, attempt: Callable[[], Awaitable[float]]) -> None:
        """`attempt` gives the figure, seconds. Once more when this machine itself stood still meanwhile."""
        for retry in (True, False):
            began = time.monotonic()
            silence_s = await attempt()
            late_s = self.ticker.worst(began)
            print(f"{name}: silence_s={silence_s:.2f} (promised {promise_s:.1f}; the machine was {late_s:.2f} s late)")
            self.record(f"{name} silence_s", round(silence_s, 2))
            if silence_s <= promise_s:
                return
            if retry and late_s > STALL_S:
                print(f"{name}: tried again, because the machine stood still for {late_s:.2f} s")
                self.reset()
                continue
            pytest.fail(
                f"{name}: {silence_s:.2f} s of silence, promised are {promise_s:.1f} s; this machine woke a thread "
                f"up to {late_s:.2f} s late meanwhile"
            )

    def reset(self) -> None:
        """Everything runs, nobody calls, no fault is left."""
        self.proxy.heal()
        self.stt.heal()
        self.llm.script = lambda _: Reply()
        self.cluster.heal()
        self.llm.requests.clear()


async def speaking(rig: Rig, caller: Caller, reply: Reply = LONG, *, into_s: float = 1.0) -> float:
    """The agent is `into_s` seconds into its answer; when it was first heard."""
    rig.llm.script = lambda _: reply
    asked_s = await caller.type("Tell me a story.")
    heard_s = await caller.heard_after(asked_s)
    await caller.until(lambda: time.monotonic() >= heard_s + into_s, "it spoke on", deadline_s=into_s + 5)
    return heard_s


async def answers(rig: Rig, caller: Caller, words: str = "The gate is open now.", *, deadline_s: float = 15.0) -> float:
    """The next turn is a normal one; seconds from question to sound."""
    rig.llm.answer(words)
    asked_s = await caller.type("Is the gate open?")
    heard_s = await caller.heard_after(asked_s, deadline_s=deadline_s)
    await caller.until(
        lambda: words in " ".join(caller.agent_text), "the next turn was answered", deadline_s=deadline_s
    )
    await caller.quiet()
    return heard_s - asked_s


def agents(caller: Caller) -> list[str]:
    return [p.identity for p in caller._room.remote_participants.values() if p.identity.startswith("agent-")]


def breaker(worker: Program) -> float:
    """The state of the language model's circuit breaker: 0 closed, 1 half-open, 2 open."""
    return worker.metric('voice_breaker_state{dependency="local"}')
