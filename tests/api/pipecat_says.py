"""Run by test_pipecat.py in pipecat's own environment: its OpenAITTSService says texts through an address (…/v1).

Prints what came of them as one line of JSON, the last.
"""

from __future__ import annotations

import asyncio
import json
import sys

from pipecat.frames.frames import (  # type: ignore[import-not-found]
    ErrorFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.services.openai.tts import OpenAITTSService  # type: ignore[import-not-found]
from pipecat.tests.utils import run_test  # type: ignore[import-not-found]


async def say(url: str, voice: str, text: str) -> dict[str, object]:
    service = OpenAITTSService(
        api_key="any", base_url=url, sample_rate=24_000, settings=OpenAITTSService.Settings(voice=voice)
    )
    down, up = await run_test(service, frames_to_send=[TTSSpeakFrame(text)])
    sound = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    return {
        "bytes": sum(len(frame.audio) for frame in sound),
        "rates": sorted({frame.sample_rate for frame in sound}),
        "started": sum(isinstance(frame, TTSStartedFrame) for frame in down),
        "stopped": sum(isinstance(frame, TTSStoppedFrame) for frame in down),
        "errors": [frame.error for frame in (*down, *up) if isinstance(frame, ErrorFrame)],
    }


async def main(url: str, voice: str, *texts: str) -> None:
    print(json.dumps([await say(url, voice, text) for text in texts]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
