"""A job process: what it prepares while it waits for a call, and the entry point of the call."""

from __future__ import annotations

import importlib
import logging
import ssl
from collections.abc import Callable, Coroutine
from uuid import uuid4

import numpy as np
from livekit.agents import JobContext, JobProcess, tokenize
from livekit.plugins import silero

from tts_plugin.settle import settle
from worker import agent_file, logs, providers
from worker.agent_file import AgentFile
from worker.call import Call
from worker.clip_maker import ClipMaker, Speaker
from worker.clip_store import ClipStore
from worker.clips import Clips
from worker.phrases import Phrases, phrases
from worker.settings import Settings

# What the language model's client imports at its first request: 0.1 to 0.2 s on the call's event loop.
LAZY_IMPORTS = ("anyio._backends._asyncio", "jiter", "openai.pagination", "openai.resources.chat.completions")
MAX_READY_CHARS = 300  # about 20 s
BROKEN = AgentFile(
    instructions="Say that you cannot take calls at the moment.",
    greeting="Hello, this is an AI assistant. I am not set up correctly and cannot take calls at the moment. Goodbye.",
)

log = logging.getLogger(__name__)


def prepare_process(process: JobProcess) -> None:
    """The slow first work of a call, done while the process waits for one: none of it may block a call's loop."""
    settings = Settings()
    logs.configure_levels(settings.log_level)
    logging.getLogger().addFilter(_is_no_callers_topic)
    ssl.create_default_context()
    for name in LAZY_IMPORTS:
        importlib.import_module(name)
    tokenize.basic.hyphenate_word("hyphens")  # the transcript's pace: its tables are built at the first use
    np.fft.rfft(np.hanning(600))
    process.userdata["settings"] = settings
    process.userdata["vad"] = silero.VAD.load(min_silence_duration=0.25, activation_threshold=0.5)
    process.userdata["conversation"] = uuid4().hex  # a job process takes one call
    process.userdata["chain"] = providers.build_chain(settings, conversation=process.userdata["conversation"])
    file, _ = _agent_file(settings)
    process.userdata["clip_maker"] = _clip_maker(settings, file)
    settle()


async def answer_call(ctx: JobContext) -> None:
    """The entry point of a job."""
    data = ctx.proc.userdata
    settings: Settings = data["settings"]
    file, broken = _agent_file(settings)
    maker: ClipMaker = data["clip_maker"]
    if maker.speaker != _speaker(settings, file) or not _says(maker, file):  # edited since
        maker.stop()
        maker = data["clip_maker"] = _clip_maker(settings, file)
    ctx.add_shutdown_callback(_stopping(maker))
    try:
        await Call(ctx, settings, file, data["chain"], maker.clips).run(hang_up_after_greeting=broken)
    except TimeoutError:
        log.error("the room could not be joined in time")
        ctx.shutdown(reason="the room could not be joined in time")


def _agent_file(settings: Settings) -> tuple[AgentFile, bool]:
    """The agent, and whether it is the one that says that its file is broken."""
    try:
        return agent_file.load(settings.agent_file, must_exist="agent_file" in settings.model_fields_set), False
    except agent_file.AgentFileError as error:
        log.error("the agent file cannot be used: %s", error)
        return BROKEN, True


def _clip_maker(settings: Settings, file: AgentFile) -> ClipMaker:
    maker = ClipMaker(
        Clips(_phrases(file), greeting=_first_words(file)), _speaker(settings, file), ClipStore(settings.cache_dir)
    )
    maker.start()
    return maker


def _says(maker: ClipMaker, file: AgentFile) -> bool:
    return maker.clips.phrases == _phrases(file) and maker.clips.greeting == _first_words(file)


def _first_words(file: AgentFile) -> str:
    """What is worth to be had ready: a long speech is spoken as it is made."""
    return file.greeting if len(file.greeting) <= MAX_READY_CHARS else ""


def _phrases(file: AgentFile) -> Phrases:
    return phrases(file.language, file.phrases)


def _stopping(maker: ClipMaker) -> Callable[[], Coroutine[None, None, None]]:
    async def stop() -> None:
        maker.stop()

    return stop


def _speaker(settings: Settings, file: AgentFile) -> Speaker:
    return Speaker(
        engines=(*settings.engine_addresses, settings.models_address),
        voice=file.voice or settings.tts_voice,
        language=file.language,
        model=f"{settings.tts_model_name} {settings.tts_model_path} {settings.tts_solver} {settings.tts_cfg_scale}",
    )


def _is_no_callers_topic(record: logging.LogRecord) -> bool:
    """LiveKit logs the topic of every stream that nobody reads: a caller chooses it, and how many there are."""
    return not (record.name == "root" and record.module == "room" and "stream with topic" in str(record.msg))
