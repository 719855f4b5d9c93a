"""One simulated caller: joins, hears the greeting, talks or types until its time is up, hangs up. Notes all of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal

from worker.bench.caller import Caller, Missed, in_room
from worker.bench.invitation import Invitation, Refused, invite
from worker.bench.speech import Speech

Talk = Literal["speech", "text"]
ANSWER_S = 20.0
THINK_S = 1.0  # what a person takes to begin the next question
STATS_S = 5.0


@dataclass(slots=True)
class Heard:
    """Seconds. `outcome`: ok, refused, no_agent, no_answer, cut (the room closed), or an error's name."""

    due_s: float
    outcome: str = "ok"
    reason: str = ""
    join_s: float | None = None  # asked for a room → connected
    agent_s: float | None = None  # connected → the agent's first sound
    answers_s: list[float] = field(default_factory=list)  # last sample or typed text → first sound
    interrupts_s: list[float] = field(default_factory=list)  # button → silence
    audio_s: float = 0.0
    concealed_samples: int = 0
    received_samples: int = 0
    refusal_s: float | None = None
    talked_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Manner:
    """What each caller does. Every `interrupt_every`-th answer is broken off; 0: none."""

    duration_s: float
    talk: Talk = "text"
    questions: tuple[Speech, ...] = ()
    texts: tuple[str, ...] = ("Hello, how are you today?", "What time is it?", "Thank you.")
    interrupt_every: int = 0
    answer_limit_s: float = 6.0  # a longer answer is broken off: it adds nothing


async def call(url: str, due_at: float, manner: Manner, heard: Heard) -> None:
    """Fills `heard`; never raises but for its own cancellation."""
    began = time.monotonic()
    try:
        invitation: Invitation = await invite(url)
        async with in_room(invitation) as caller:
            heard.join_s = time.monotonic() - due_at
            joined = time.monotonic()
            try:
                heard.agent_s = await caller.greeted(deadline_s=ANSWER_S) - joined
            except Missed as error:
                heard.outcome, heard.reason = "no_agent", str(error)
                return
            await _talk(caller, manner, heard, joined + manner.duration_s)
            await _count(caller, heard)
            heard.talked_s = time.monotonic() - joined
    except Refused as refused:
        heard.outcome, heard.reason, heard.refusal_s = "refused", refused.code, time.monotonic() - began
    except Missed as error:
        heard.outcome, heard.reason = "no_answer", str(error)
    except Exception as error:  # outermost: one caller's trouble is a figure, not the end of the run
        heard.outcome, heard.reason = type(error).__name__, str(error)[:200]


async def _talk(caller: Caller, manner: Manner, heard: Heard, until: float) -> None:
    turn = 0
    while time.monotonic() < until and caller.ended is None:
        turn += 1
        if manner.talk == "speech":
            asked_s = (await caller.say(manner.questions[turn % len(manner.questions)].pcm)).last_s
        else:
            asked_s = await caller.type(manner.texts[turn % len(manner.texts)])
        first_s = await caller.heard_after(asked_s, deadline_s=ANSWER_S)
        heard.answers_s.append(first_s - asked_s)
        await _hear_out(caller, manner, heard, turn)
        heard.audio_s += caller.hearing.audible_s(first_s - 0.01, time.monotonic())
        await asyncio.sleep(min(THINK_S, max(0.0, until - time.monotonic())))
    if caller.ended is not None:
        heard.outcome, heard.reason = "cut", caller.ended


async def _hear_out(caller: Caller, manner: Manner, heard: Heard, turn: int) -> None:
    if manner.interrupt_every and turn % manner.interrupt_every == 0:
        pressed_s = await caller.interrupt()
        heard.interrupts_s.append(max(0.0, await caller.quiet(deadline_s=ANSWER_S) - pressed_s))
        return
    try:
        await caller.quiet(deadline_s=manner.answer_limit_s)
    except Missed:
        if caller.ended is not None:
            raise
        await caller.interrupt()
        await caller.quiet(deadline_s=ANSWER_S)


async def _count(caller: Caller, heard: Heard) -> None:
    """Samples that the receiver had to make up, as WebRTC counts them."""
    async with asyncio.timeout(STATS_S):
        stats = await caller.inbound_audio()
    heard.received_samples, heard.concealed_samples = stats.received, stats.concealed
