"""One call: a job process joins its room, listens, asks the language model and speaks while the answer is written.

Speech to text, turns and interruptions are LiveKit's AgentSession; here stands what is put into it and what is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from livekit import rtc
from livekit.agents import (
    AgentStateChangedEvent,
    CloseEvent,
    CloseReason,
    JobContext,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    room_io,
)

from worker import handover, providers, turn_taking
from worker.agent import VoiceAgent, history_of
from worker.agent_file import AgentFile
from worker.call_items import CallItems
from worker.call_outcome import CallOutcome, Outcome
from worker.call_phone import CallPhone
from worker.call_session import build_session, endpointing
from worker.clip_speech import fill_tool_time, say_clip
from worker.clips import Clips, Kind
from worker.ears import Ears
from worker.job_link import Command, JobLink
from worker.llm_chain import LlmChain
from worker.opening import GREETING_TIMEOUT_S, greet
from worker.owned_tasks import OwnedTasks
from worker.page import Page
from worker.settings import Settings
from worker.turn_guard import TurnGuard
from worker.turns import TurnLog
from worker.typed_text import TOPIC as TYPED_TOPIC
from worker.typed_text import TypedText
from worker.watchdog import Limits

CALLER_TIMEOUT_S = 30.0  # a caller who got a token but never comes must not hold a job
CALLER_BACK_S = 5.0  # the caller of a call that is taken over is there, or has left meanwhile
CONNECT_TIMEOUT_S = 10.0
START_TIMEOUT_S = 15.0
GOODBYE_TIMEOUT_S = 8.0
INTERRUPT_TIMEOUT_S = 5.0
ROOM_OPTIONS = room_io.RoomOptions(
    audio_input=room_io.AudioInputOptions(frame_size_ms=20),
    text_input=False,  # typed_text.py reads it, with bounds
    delete_room_on_close=False,  # _on_close knows whether the call is over
)
ANSWER_TYPED = room_io.TextInputOptions().text_input_cb  # LiveKit's own: interrupts, then answers
OVER = (CloseReason.PARTICIPANT_DISCONNECTED, CloseReason.USER_INITIATED, CloseReason.TASK_COMPLETED)

log = logging.getLogger(__name__)


class Call:
    """The parts of one call and the wires between them."""

    def __init__(self, ctx: JobContext, settings: Settings, file: AgentFile, chain: LlmChain, clips: Clips) -> None:
        self._ctx = ctx
        self._settings = settings
        self._file = file
        self._turns = TurnLog()
        self._page = Page(ctx.room)
        self._prompt_cache = providers.build_prompt_cache(settings, conversation=ctx.proc.userdata["conversation"])
        job, hears = ctx.job, self._on_command
        self._link = JobLink(
            settings.fleet_socket, job_id=job.id, room=job.room.name, room_sid=job.room.sid, on_command=hears
        )
        self._tasks = OwnedTasks()
        self._handover = handover.decode(ctx.job.metadata)
        chain.note = self._link.note
        turn_s = settings.tool_timeout_s + settings.llm_timeout_s * len(chain.models)
        limits = Limits(settings.filler_after_s, settings.filler_every_s, turn_s)
        self._guard = TurnGuard(limits, clips, note=self._link.note)
        self._ears = Ears(
            timeout_s=settings.stt_final_timeout_s,
            page=self._page,
            note=self._link.note,
            say=lambda kind: self._tasks.start(self._say(kind, GOODBYE_TIMEOUT_S), kind),
            commit=self._commit_turn,
        )
        self._typed = TypedText(max_chars=settings.max_turn_chars, take=self._on_typed, refuse=self._page.notice)
        self._agent = VoiceAgent(
            file, self._turns, chain, self._guard, self._ears.hearing, chat_ctx=history_of(self._handover)
        )
        self._session = build_session(
            settings,
            file,
            model=chain.models[0].llm,
            vad=ctx.proc.userdata["vad"],
            on_swap=lambda reason: self._link.note("swap", reason=reason),
        )
        self._outcome = CallOutcome(self._link.note)
        self._items = CallItems(self._link, self._guard, self._page, self._turns, self._prompt_cache)
        self._phone = CallPhone(
            ctx, self._session, self._agent, settings, file, clips, outcome=self._outcome, tasks=self._tasks, owner=self
        )
        self._keeps_room = False  # at the end: it is another agent's, or closes by itself
        self._started = self._hung_up = self._closed = False

    async def run(self, *, hang_up_after_greeting: bool) -> None:
        self._link.start()
        self._ctx.add_shutdown_callback(self._close)
        self._listen()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._ctx.connect()
        room = self._ctx.room
        await self._phone.before_start()
        room.local_participant.register_rpc_method("interrupt", self._on_interrupt)
        room.on("participant_disconnected", lambda _: self._tasks.start(self._end_in_time(), "end-in-time"))
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._session.start(
                self._agent,
                room=room,
                room_options=ROOM_OPTIONS,
                record=False,  # the recording would go to LiveKit's cloud
                session_host=False,  # else any participant could drive and watch the session
            )
        self._started = True
        if self._keeps_room:  # released before there was a session to end
            self.hang_up("another agent takes over")
            return
        room.register_text_stream_handler(TYPED_TOPIC, self._typed.on_stream)
        self._tasks.start(fill_tool_time(self._session, self._guard), "tool-fillers")
        self._prompt_cache.warm(self._agent.prompt(self._agent.chat_ctx))
        try:
            async with asyncio.timeout(CALLER_TIMEOUT_S if self._handover is None else CALLER_BACK_S):
                await self._ctx.wait_for_participant()
        except TimeoutError:
            self._keeps_room = True  # one that LiveKit cut off sees nobody, and there the call goes on without it
            self.hang_up("no caller came")
            return
        if not await self._phone.began():
            self.hang_up("the telephone was not answered", "not_answered")
            return
        if not await self._phone.screened(self._session.llm):
            return
        await self._greet()
        if hang_up_after_greeting:
            self.hang_up("the agent file cannot be used", "failed")
            return
        limit_s = min(self._file.limits.max_call_s or self._settings.max_call_s, self._settings.max_call_s)
        self._tasks.start(self._end_after(limit_s), "call-limit")

    def _listen(self) -> None:
        session = self._session
        session.on("user_input_transcribed", self._on_transcribed)
        session.on("user_state_changed", self._on_caller_state)
        session.on("agent_state_changed", self._on_agent_state)
        session.on("conversation_item_added", self._items.added)
        session.on("error", self._items.failed)
        session.on("close", self._on_close)

    async def _greet(self) -> None:
        if self._handover is not None and not self._phone.was_ringing:
            await self._say("cut_off", GREETING_TIMEOUT_S)
        elif self._file.greeting:
            self._guard.turn_began()
            await greet(self._session, self._file.greeting, self._guard.clips, on_phone=self._phone.line is not None)

    # What the caller does.

    async def _on_typed(self, text: str, reader: rtc.TextStreamReader, identity: str) -> None:
        participant = self._ctx.room.remote_participants.get(identity)
        if participant is None or self._closed:
            return
        self._guard.caller_typed()
        self._turns.typed(time.time())
        answered = ANSWER_TYPED(self._session, room_io.TextInputEvent(text, reader.info, participant))
        if answered is not None:
            with contextlib.suppress(TimeoutError, RuntimeError):  # the session is closing
                async with asyncio.timeout(INTERRUPT_TIMEOUT_S):
                    await answered

    def caller_input(self, text: str) -> None:
        """Words that stand for what the caller did without speaking."""
        if self._closed:
            return
        self._guard.caller_typed()
        self._turns.typed(time.time())
        with contextlib.suppress(RuntimeError):  # the session is closing
            self._session.interrupt()
            self._session.generate_reply(user_input=text)

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        self._ears.final_words.transcribed(event.transcript, final=event.is_final)
        wait = turn_taking.delays(event.transcript, self._file.language)
        self._session.update_options(endpointing_opts=endpointing(wait))
        if not event.is_final:
            coming = self._agent.chat_ctx.copy()
            coming.add_message(role="user", content=event.transcript)
            self._prompt_cache.warm(self._agent.prompt(coming))

    def _on_caller_state(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._guard.caller_spoke()
            self._ears.caller_spoke()
        elif event.old_state == "speaking":
            self._guard.caller_paused()
            self._ears.caller_paused()

    def _commit_turn(self) -> None:
        with contextlib.suppress(RuntimeError):  # the session is closing
            self._session.commit_user_turn(transcript_timeout=0.01)

    async def _on_interrupt(self, _: rtc.RpcInvocationData) -> str:
        self._session.interrupt()
        return "ok"

    # What the agent does.

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        if event.new_state in ("thinking", "speaking"):
            self._guard.turn_began()
        else:
            self._guard.turn_ended()

    # The end, and what the worker asks for.

    def _on_command(self, command: Command) -> None:
        if command == "release":
            told, self._keeps_room = self._keeps_room, True
            if self._started and not told:
                self.hang_up("another agent takes over")
        else:
            self._tasks.start(
                self._say_and_hang_up("unavailable", "no worker could go on with it", "failed"), "goodbye"
            )

    async def _end_after(self, limit_s: float) -> None:
        await asyncio.sleep(limit_s)
        log.info("the call reached its limit of %.0f s", limit_s)
        await self._say_and_hang_up("goodbye", "the longest time for one call", "max_length")

    async def _say_and_hang_up(self, kind: Kind, reason: str, outcome: Outcome) -> None:
        await self._say(kind, GOODBYE_TIMEOUT_S, interrupts=True)
        self.hang_up(reason, outcome)

    async def _say(self, kind: Kind, timeout_s: float, *, interrupts: bool = False) -> None:
        """Say a phrase to the end. A session that is closing says nothing."""
        with contextlib.suppress(TimeoutError, RuntimeError):
            async with asyncio.timeout(timeout_s):
                if interrupts:
                    await self._session.interrupt(force=True)
                await say_clip(self._session, self._guard.clips.get(kind)).wait_for_playout()

    def hang_up(self, reason: str, outcome: Outcome = "failed") -> None:
        if self._hung_up:
            return
        log.info("the call is ended: %s", reason)
        self._outcome.decide(outcome)
        self._hung_up = True
        self._session.shutdown(drain=False)
        self._tasks.start(self._end_in_time(), "end-in-time")

    async def _end_in_time(self) -> None:
        await asyncio.sleep(self._settings.close_timeout_s)
        if not self._closed and (self._hung_up or not self._has_caller()):
            log.error("the call did not end within %g s: its job is ended", self._settings.close_timeout_s)
            self._link.note("deadline", stage="close")
            self._ctx.shutdown(reason="the end took too long")

    def _has_caller(self) -> bool:
        agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return any(participant.kind != agent for participant in self._ctx.room.remote_participants.values())

    def _on_close(self, event: CloseEvent) -> None:
        self._closed = True
        self._guard.turn_ended()
        if event.reason in OVER and not self._keeps_room:
            self._outcome.ended("caller_left" if event.reason is CloseReason.PARTICIPANT_DISCONNECTED else "failed")
            self._ctx.delete_room()  # else a hung-up call holds its job for the room's departure timeout
        self._ctx.shutdown(reason=event.reason.value)

    async def _close(self) -> None:
        self._ears.final_words.cancel()
        self._phone.close()
        if self._hung_up and not self._keeps_room:
            self._outcome.ended("failed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.close_timeout_s):
                await asyncio.gather(
                    self._tasks.aclose(), self._typed.aclose(), self._page.aclose(), self._prompt_cache.aclose()
                )
                await self._link.aclose()
