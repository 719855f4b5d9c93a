"""Calls that last until the caller hangs up, straight through LiveKit's own dispatch, and whether one was cut."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit import api
from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration

from worker.bench.caller import Missed, in_room
from worker.bench.hearing import Hearing
from worker.bench.invitation import Invitation
from worker.dev.livekit import LiveKitKey

AGENT_S = 30.0
ANSWER_S = 20.0  # the engine may start anew in it


@dataclass(slots=True)
class Call:
    """One call. `cut`: why it ended before its caller hung up; empty: it did not."""

    url: str
    key: LiveKitKey
    room: str = field(default_factory=lambda: f"call-{uuid.uuid4().hex[:8]}")
    cut: str = ""
    greeted_s: float | None = None  # from joining to the greeting's first sound
    answers_s: list[float] = field(default_factory=list)
    asked_s: float = 0.0  # the last question
    hearing: Hearing | None = field(default=None, repr=False)
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _greeted: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"call {self.room}")

    async def talks(self) -> None:
        """Until the agent was heard, or the call is cut."""
        assert self._task is not None
        await asyncio.wait({asyncio.create_task(self._greeted.wait()), self._task}, return_when="FIRST_COMPLETED")

    async def answered(self, more: int = 1) -> None:
        """Until that many more questions are answered, or the call is cut."""
        wanted = len(self.answers_s) + more
        while len(self.answers_s) < wanted and not self.cut:
            await asyncio.sleep(0.05)

    async def hang_up(self) -> None:
        self._over.set()
        assert self._task is not None
        await asyncio.wait_for(self._task, 40)

    async def _run(self) -> None:
        try:
            async with in_room(self._invitation()) as caller:
                joined, self.hearing = time.monotonic(), caller.hearing
                self.greeted_s = await caller.heard_after(0.0, deadline_s=AGENT_S) - joined
                agent = (await caller.agent()).sid
                self._greeted.set()
                await caller.quiet()
                while not self._over.is_set():
                    self.asked_s = await caller.type(f"Question number {len(self.answers_s) + 1}, please.")
                    heard_s = await caller.heard_after(self.asked_s, deadline_s=ANSWER_S)
                    self.answers_s.append(heard_s - self.asked_s)
                    await caller.quiet(deadline_s=ANSWER_S)
                    if (now := (await caller.agent()).sid) != agent:
                        raise Missed(f"another agent is in the room: {now} in place of {agent}")
                    await asyncio.sleep(0.5)
        except Exception as error:  # outermost: whatever ends a call before its caller did is a cut
            self.cut = f"{type(error).__name__}: {error}"

    def _invitation(self) -> Invitation:
        agents = [RoomAgentDispatch(agent_name="tts-ops")]
        token = (
            api.AccessToken(self.key.name, self.key.secret)
            .with_identity(f"caller-{self.room}")
            .with_grants(api.VideoGrants(room_join=True, room=self.room))
            .with_room_config(RoomConfiguration(agents=agents))
        )
        return Invitation(self.url, token.to_jwt(), self.room)


@dataclass(slots=True)
class Callers:
    url: str
    key: LiveKitKey
    calls: list[Call] = field(default_factory=list)

    async def add(self, count: int = 1) -> list[Call]:
        """New calls, all of whose agents were heard."""
        new = [Call(self.url, self.key) for _ in range(count)]
        self.calls += new
        for call in new:
            call.start()
        await asyncio.gather(*(call.talks() for call in new))
        return new

    @property
    def cut(self) -> list[str]:
        return [f"{call.room}: {call.cut}" for call in self.calls if call.cut]


async def until(is_so: Callable[[], bool], what: str, deadline_s: float) -> float:
    """Seconds until it is so; AssertionError after the deadline. It is asked in a thread: it may wait for an answer."""
    began = time.monotonic()
    while not await asyncio.to_thread(is_so):
        assert time.monotonic() - began < deadline_s, f"within {deadline_s:.0f} s it was not so that {what}"
        await asyncio.sleep(0.2)
    return time.monotonic() - began
