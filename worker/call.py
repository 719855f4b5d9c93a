"""One call: a job process joins its room, listens, asks the language model and speaks while the answer is written.

Speech to text, turns and interruptions are LiveKit's AgentSession; here stands what is put into it and what is told
of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import ssl
import time
from typing import Any
from uuid import uuid4

from livekit import rtc
from livekit.agents import (
    AgentSession,
    CloseEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    JobContext,
    JobProcess,
    UserInputTranscribedEvent,
    inference,
    llm,
    room_io,
)
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.turn import EndpointingOptions
from livekit.plugins import silero

from tts_plugin import plugin as vibevoice
from worker import agent_file, logs, providers, turn_taking
from worker.agent import VoiceAgent
from worker.agent_file import AgentFile
from worker.job_link import JobLink
from worker.settings import Settings
from worker.turns import TurnLog

# What the language model's client imports at its first request: 0.1 to 0.2 s on the call's event loop.
LAZY_IMPORTS = ("anyio._backends._asyncio", "jiter", "openai.pagination", "openai.resources.chat.completions")
TURN_TOPIC = "tts-ops.turn"
CALLER_TIMEOUT_S = 30.0  # a caller who got a token but never comes must not hold a job
GOODBYE_TIMEOUT_S = 8.0
FIRST_AUDIO_TIMEOUT_S = 4.0  # a slow first sound is better than a retry; a dead engine is seen at once
GOODBYE = "We have reached the longest time for one call. Thank you, and goodbye."
ANSWER_TYPED = room_io.TextInputOptions().text_input_cb  # LiveKit's own: interrupts, then answers
BROKEN = AgentFile(
    instructions="Say that you cannot take calls at the moment.",
    greeting="Hello, this is an AI assistant. I am not set up correctly and cannot take calls at the moment. Goodbye.",
)

log = logging.getLogger(__name__)


def prepare_process(process: JobProcess) -> None:
    """The slow first work of a call, done while the process waits for one: none of it may block a call's loop."""
    settings = Settings()
    logs.configure_levels(settings.log_level)
    ssl.create_default_context()
    for name in LAZY_IMPORTS:
        importlib.import_module(name)
    process.userdata["settings"] = settings
    process.userdata["vad"] = silero.VAD.load(min_silence_duration=0.25, activation_threshold=0.5)
    process.userdata["conversation"] = uuid4().hex  # a job process takes one call
    process.userdata["llm"] = providers.build_llm(settings, conversation=process.userdata["conversation"])


async def answer_call(ctx: JobContext) -> None:
    """The entry point of a job."""
    settings: Settings = ctx.proc.userdata["settings"]
    try:
        file = agent_file.load(settings.agent_file, must_exist="agent_file" in settings.model_fields_set)
        broken = False
    except agent_file.AgentFileError as error:
        log.error("the agent file cannot be used: %s", error)
        file, broken = BROKEN, True
    await Call(ctx, settings, file).run(hang_up_after_greeting=broken)


class Call:
    """The parts of one call and the wires between them."""

    def __init__(self, ctx: JobContext, settings: Settings, file: AgentFile) -> None:
        self._ctx = ctx
        self._settings = settings
        self._file = file
        self._turns = TurnLog()
        self._prompt_cache = providers.build_prompt_cache(settings, conversation=ctx.proc.userdata["conversation"])
        self._link = JobLink(
            settings.fleet_socket, job_id=ctx.job.id, room=ctx.job.room.name, room_sid=ctx.job.room.sid
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._agent = VoiceAgent(file, self._turns)
        self._session = self._build_session()

    async def run(self, *, hang_up_after_greeting: bool) -> None:
        self._link.start()
        self._ctx.add_shutdown_callback(self._close)
        self._listen()
        await self._ctx.connect()
        self._ctx.room.local_participant.register_rpc_method("interrupt", self._on_interrupt)
        await self._session.start(
            self._agent,
            room=self._ctx.room,
            room_options=self._room_options(),
            record=False,  # the recording would go to LiveKit's cloud
            session_host=False,  # else any participant could drive and watch the session
        )
        self._prompt_cache.warm(self._agent.chat_ctx)
        try:
            await asyncio.wait_for(self._ctx.wait_for_participant(), CALLER_TIMEOUT_S)
        except TimeoutError:
            self._hang_up("no caller came")
            return
        await self._greet()
        if hang_up_after_greeting:
            self._hang_up("the agent file cannot be used")
            return
        limit_s = min(self._file.limits.max_call_s or self._settings.max_call_s, self._settings.max_call_s)
        self._own(self._end_after(limit_s), "call-limit")

    def _build_session(self) -> AgentSession[None]:
        settings = self._settings
        voice = self._file.voice or settings.tts_voice
        return AgentSession(
            stt=providers.build_stt(settings, language=self._file.language),
            llm=self._ctx.proc.userdata["llm"],
            tts=vibevoice.TTS(
                base_url=settings.engine_address, voice=voice, first_audio_timeout_s=FIRST_AUDIO_TIMEOUT_S
            ),
            vad=self._ctx.proc.userdata["vad"],
            turn_handling={
                # Both are pinned: in dev mode the defaults send the caller's audio to LiveKit's cloud.
                "turn_detection": inference.TurnDetector(version="v1-mini"),
                "interruption": {"mode": "vad", "min_duration": 0.1, "false_interruption_timeout": 1.5},
                "endpointing": _endpointing(turn_taking.OTHER_LANGUAGES),  # until the first words: _on_transcribed
                "preemptive_generation": {
                    "enabled": True,
                    "preemptive_tts": True,
                    "max_retries": 10,
                    "max_speech_duration": 30.0,
                },
            },
            conn_options=SessionConnectOptions(llm_conn_options=providers.llm_connect_options(settings)),
            use_tts_aligned_transcript=True,
            user_away_timeout=self._file.limits.user_away_s,
            aec_warmup_duration=None,
        )

    def _listen(self) -> None:
        session = self._session
        session.on("user_input_transcribed", self._on_transcribed)
        session.on("conversation_item_added", self._on_item)
        session.on("error", self._on_error)
        session.on("close", self._on_close)

    def _room_options(self) -> room_io.RoomOptions:
        return room_io.RoomOptions(
            audio_input=room_io.AudioInputOptions(frame_size_ms=20),
            text_input=room_io.TextInputOptions(text_input_cb=self._on_typed),
            delete_room_on_close=True,  # else a hung-up call holds its job for the room's departure timeout
        )

    async def _on_typed(self, session: AgentSession[None], event: room_io.TextInputEvent) -> None:
        self._turns.typed(time.time())
        answered = ANSWER_TYPED(session, event)
        if answered is not None:
            await answered

    async def _greet(self) -> None:
        if self._file.greeting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._session.say(self._file.greeting).wait_for_playout(), 30.0)

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        wait = turn_taking.delays(event.transcript, self._file.language)
        self._session.update_options(endpointing_opts=_endpointing(wait))
        if not event.is_final:
            coming = self._agent.chat_ctx.copy()
            coming.add_message(role="user", content=event.transcript)
            self._prompt_cache.warm(self._agent.prompt(coming))

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, llm.ChatMessage) or item.role not in ("user", "assistant"):
            return
        self._link.turn(item.role, item.text_content or "", interrupted=item.interrupted)
        if item.role == "user":
            self._prompt_cache.drop()
            m = item.metrics
            self._turns.user_turn(
                stopped_at=m.get("stopped_speaking_at"),
                transcript_delay=m.get("transcription_delay"),
                turn_delay=m.get("end_of_turn_delay"),
            )
        else:
            self._report(item)

    def _report(self, answer: llm.ChatMessage) -> None:
        if (started_at := answer.metrics.get("started_speaking_at")) is not None:
            self._turns.stamp("speaking", started_at)
        report = self._turns.answered(interrupted=answer.interrupted)
        self._link.note("turn", interrupted=report.interrupted, **report.seconds)
        self._own(self._send(json.dumps(report.as_dict())), "turn-report")

    async def _send(self, text: str) -> None:
        try:
            await self._ctx.room.local_participant.send_text(text, topic=TURN_TOPIC)
        except RuntimeError as error:  # the room is being left
            log.debug("a turn report was not sent: %s", type(error).__name__)

    async def _on_interrupt(self, _: rtc.RpcInvocationData) -> str:
        self._session.interrupt()
        return "ok"

    def _on_error(self, event: ErrorEvent) -> None:
        error = getattr(event.error, "error", event.error)
        source = type(event.source).__module__.rsplit(".", 1)[0]
        log.error("%s failed: %s", source, type(error).__name__)
        self._link.note("error", source=source)

    def _on_close(self, event: CloseEvent) -> None:
        self._ctx.shutdown(reason=event.reason.value)

    async def _end_after(self, limit_s: float) -> None:
        await asyncio.sleep(limit_s)
        log.info("the call reached its limit of %.0f s", limit_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._session.say(GOODBYE).wait_for_playout(), GOODBYE_TIMEOUT_S)
        self._hang_up("the longest time for one call")

    def _hang_up(self, reason: str) -> None:
        log.info("the call is ended: %s", reason)
        self._session.shutdown(drain=False)

    def _own(self, coroutine: Any, name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._prompt_cache.aclose()
        await self._link.aclose()


def _endpointing(wait: turn_taking.Delays) -> EndpointingOptions:
    return {"min_delay": wait.min_s, "max_delay": wait.max_s}
