"""The AgentSession of a call: which parts it is made of and how it takes turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import AgentEvent, AgentSession, APIConnectOptions, inference, llm, vad
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.events import EventTypes
from livekit.agents.voice.turn import EndpointingOptions

from tts_plugin import plugin as vibevoice
from worker import providers, turn_taking
from worker.agent_file import AgentFile
from worker.settings import Settings

KEPT_EVENTS = 200
NEVER = 1_000_000  # errors after which LiveKit would end the session: the call outlives its parts


class Session(AgentSession[None]):
    """LiveKit's, which keeps every event of a call for a report of its cloud: here only the last ones."""

    def emit(self, event: EventTypes, arg: AgentEvent) -> None:
        super().emit(event, arg)
        del self._recorded_events[:-KEPT_EVENTS]


def build_session(
    settings: Settings,
    file: AgentFile,
    *,
    model: llm.LLM[Any],
    vad: vad.VAD,
    on_swap: Callable[[str], None],
) -> AgentSession[None]:
    """`on_swap` is told why another engine goes on with a sentence."""
    return Session(
        stt=providers.build_stt(settings, language=file.language),
        llm=model,
        tts=vibevoice.TTS(
            engines=[*settings.engine_addresses, settings.models_address],
            voice=file.voice or settings.tts_voice,
            language=file.language,
            first_audio_timeout_s=settings.first_audio_timeout_s,
            on_swap=on_swap,
        ),
        vad=vad,
        turn_handling={
            # Both are pinned: in dev mode the defaults send the caller's audio to LiveKit's cloud.
            "turn_detection": inference.TurnDetector(version="v1-mini"),
            "interruption": {"mode": "vad", "min_duration": 0.1, "false_interruption_timeout": 1.5},
            "endpointing": endpointing(turn_taking.OTHER_LANGUAGES),  # until the first words come
            "preemptive_generation": {
                "enabled": True,
                "preemptive_tts": True,
                "max_retries": 10,
                "max_speech_duration": 30.0,
            },
        },
        conn_options=SessionConnectOptions(
            stt_conn_options=APIConnectOptions(max_retry=1, retry_interval=0.1, timeout=10.0),  # then hearing.py
            tts_conn_options=APIConnectOptions(max_retry=1, retry_interval=0.1, timeout=10.0),  # after all engines
            max_unrecoverable_errors=NEVER,
        ),
        use_tts_aligned_transcript=True,
        user_away_timeout=file.limits.user_away_s,
        aec_warmup_duration=None,
    )


def endpointing(wait: turn_taking.Delays) -> EndpointingOptions:
    return {"min_delay": wait.min_s, "max_delay": wait.max_s}
