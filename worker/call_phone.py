"""What is different about a call when a telephone is at its other end.

It is answered by our audio track: livekit-sip lets the telephone ring until somebody in the room publishes one. So
whatever takes time comes before the session starts, and the greeting is in hand when the call is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, Protocol

from livekit import rtc
from livekit.agents import Agent, AgentSession, JobContext, llm
from livekit.agents.voice import SpeechHandle

from worker.agent_file import AgentFile
from worker.agent_tools import Target
from worker.call_outcome import CallOutcome, Outcome
from worker.clip_speech import say_clip
from worker.clips import Clips
from worker.owned_tasks import OwnedTasks
from worker.phone import transfer
from worker.phone.attributes import HUMAN
from worker.phone.keypad import Keypad
from worker.phone.line import PhoneLine, is_phone, the_phone
from worker.phone.phone_tools import SAID_S, build_tools
from worker.phone.screening import screen
from worker.settings import Settings

GREETING_WAIT_S = 1.0  # a greeting that is not rendered by then is spoken as it is made
GREETING_LOOK_S = 0.02
ACTIVE_S = 5.0  # from our track to the caller's ACK
RING_S = 90.0  # a call that we make
FAREWELL_S = 15.0
DTMF_CODES = {**{str(n): n for n in range(10)}, "*": 10, "#": 11, "A": 12, "B": 13, "C": 14, "D": 15}

log = logging.getLogger(__name__)


class Owner(Protocol):
    """The call."""

    def hang_up(self, reason: str, outcome: Outcome) -> None: ...

    def caller_input(self, text: str) -> None:
        """Words of the caller that were not spoken."""


class CallPhone:
    """The telephone of one call, if there is one: `line` is None on calls from a browser."""

    def __init__(
        self,
        ctx: JobContext,
        session: AgentSession[None],
        agent: Agent,
        settings: Settings,
        file: AgentFile,
        clips: Clips,
        *,
        outcome: CallOutcome,
        tasks: OwnedTasks,
        owner: Owner,
    ) -> None:
        self._ctx = ctx
        self._room = ctx.room
        self._session = session
        self._agent = agent
        self._settings = settings
        self._file = file
        self._clips = clips
        self._outcome = outcome
        self._tasks = tasks
        self._owner = owner
        self._keypad = Keypad(self._on_digits, pressed=self._on_first_key, pause_s=file.phone.keys_pause_s)
        self.line: PhoneLine | None = None
        self.was_ringing = False  # when the agent came: nobody has been greeted yet
        self.with_human = False  # two people talk; the agent only keeps the room

    async def before_start(self) -> None:
        """Connected to the room, not yet answered."""
        self._room.on("sip_dtmf_received", self._on_dtmf)
        self._room.on("participant_disconnected", self._on_left)
        self._find()
        self.was_ringing = self.line is not None and not self.line.is_active
        await self._agent.update_tools(self._tools())
        if self.line is not None and self._file.greeting:
            deadline = time.monotonic() + GREETING_WAIT_S  # a thread renders it
            while not self._clips.has(self._file.greeting) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(GREETING_LOOK_S)

    async def began(self) -> bool:
        """Somebody is in the room. False: a telephone that did not answer, or whose caller gave up."""
        if self._find():
            await self._agent.update_tools(self._tools())
        if self.line is None:
            self._outcome.began("web")
            return True
        is_ours = self.line.direction == "outbound"
        self._outcome.direction = self.line.direction
        if not await self.line.answered(RING_S if is_ours else ACTIVE_S):
            return False
        self._outcome.began(self.line.direction, **self.line.seconds)
        return True

    async def screened(self, model: Any) -> bool:
        """Whether the call goes on; a machine that answered is dealt with as the agent file says."""
        wanted = self._file.phone
        if self.line is None or self.line.direction == "inbound" or wanted.voicemail == "ignore":
            return True
        who = await screen(self._session, model)
        if who not in ("voicemail", "machine"):
            return True
        if who == "voicemail" and wanted.voicemail == "leave_message" and wanted.message:
            await self._say(wanted.message)
        self._owner.hang_up("a machine answered", "voicemail")
        return False

    def close(self) -> None:
        self._keypad.close()

    # Keys.

    def _on_dtmf(self, event: rtc.SipDTMF) -> None:
        if event.participant is not None and HUMAN not in event.participant.attributes and not self.with_human:
            self._keypad.press(event.digit)

    def _on_first_key(self) -> None:
        with contextlib.suppress(RuntimeError):  # the session is closing
            self._session.interrupt()

    def _on_digits(self, digits: str) -> None:
        self._owner.caller_input(f"(The caller pressed {' '.join(digits)} on the telephone.)")

    # What the tools do (phone_tools.Desk).

    def hang_up_after(self, speech: SpeechHandle, farewell: str) -> None:
        async def end() -> None:
            with contextlib.suppress(TimeoutError, RuntimeError):
                async with asyncio.timeout(SAID_S):
                    await speech.wait_for_playout()
            if farewell:
                await self._say(farewell)
            self._owner.hang_up("the agent hung up", "agent_hung_up")

        self._tasks.start(end(), "hang-up")

    async def transfer(self, target: Target, introduction: str) -> None:
        if self.line is None:
            raise transfer.TransferFailed("Only a telephone call can be transferred.")
        sip, room = self._ctx.api.sip, self._room.name
        with contextlib.suppress(RuntimeError):
            say_clip(self._session, self._clips.get("hold"))
        if target.mode == "cold":
            self._outcome.decide("transferred")
            try:
                await transfer.refer(sip, target, room=room, identity=self.line.identity)
            except BaseException:
                self._outcome.forget()
                raise
            return
        await transfer.invite(sip, target, room=room, trunk=self._settings.sip_outbound_trunk)
        self._outcome.decide("transferred")
        self._tasks.start(self._introduce(introduction), "introduction")

    async def _introduce(self, introduction: str) -> None:
        """To the person who takes over; then the agent neither speaks nor listens until one of the two hangs up."""
        self._session.input.set_audio_enabled(False)
        with contextlib.suppress(RuntimeError):
            await self._session.interrupt(force=True)
        await self._say(introduction or "I have a caller for you.")
        self.with_human = True

    async def collect(self, *, most: int, first_s: float, pause_s: float) -> str:
        return await self._keypad.collect(most=most, first_s=first_s, pause_s=pause_s)

    async def send(self, digit: str) -> None:
        await self._room.local_participant.publish_dtmf(code=DTMF_CODES[digit], digit=digit)

    # Inside.

    def _tools(self) -> list[llm.Tool | llm.Toolset]:
        return [*build_tools(self._file.tools, self, on_phone=self.line is not None)]

    def _find(self) -> bool:
        """Whether a telephone was found just now."""
        if self.line is not None or (phone := the_phone(self._room)) is None:
            return False
        self.line = PhoneLine(self._room, phone, waited_s=self._waited_s())
        self._outcome.direction = self.line.direction
        return True

    def _waited_s(self) -> float:
        """How long a caller has been there: a call opens its room. Two clocks: what cannot be is 0."""
        waited_s = time.time() - self._ctx.job.room.creation_time_ms / 1000
        return waited_s if 0 <= waited_s <= RING_S else 0.0

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if is_phone(participant) and HUMAN in participant.attributes:
            self._owner.hang_up("the person who took the call over hung up", "transferred")

    async def _say(self, text: str) -> None:
        with contextlib.suppress(TimeoutError, RuntimeError):
            async with asyncio.timeout(FAREWELL_S):
                await self._session.say(text).wait_for_playout()
