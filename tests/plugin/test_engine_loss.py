"""A real engine that is frozen or killed while it speaks, and comes back."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
from ear import ONE_TRY, hear_stream
from engine_process import EngineProcess
from livekit.agents import APIConnectionError, APITimeoutError
from livekit.plugins import vibevoice

LONG = "The kitchen opens at seven, and the garden is closed today, but the terrace is free. " * 6

pytestmark = pytest.mark.timeout(120)


async def test_a_frozen_engine_is_noticed_and_used_again_when_it_thaws(own_engine: EngineProcess) -> None:
    async with vibevoice.TTS(base_url=own_engine.url, first_audio_timeout_s=1.0) as voice:
        await hear_stream(voice, ["Warm."])
        own_engine.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(APITimeoutError):
            await hear_stream(voice, ["Nobody says this."])
        assert time.monotonic() - start < 2.0
        own_engine.send_signal(signal.SIGCONT)
        assert (await hear_stream(voice, ["And again."])).text == "And again."


async def test_an_engine_killed_in_mid_speech_is_an_error_at_once_and_used_again_when_it_is_back(
    own_engine: EngineProcess,
) -> None:
    async with vibevoice.TTS(base_url=own_engine.url) as voice:
        async with voice.stream(conn_options=ONE_TRY) as stream:
            stream.push_text(LONG)
            await anext(stream)
            own_engine.send_signal(signal.SIGKILL)
            start = time.monotonic()
            with pytest.raises(APIConnectionError):
                _ = [event async for event in stream]
            assert time.monotonic() - start < 1.0
        await asyncio.to_thread(own_engine.end)
        await asyncio.to_thread(own_engine.start)
        assert (await hear_stream(voice, ["And again."])).text == "And again."
