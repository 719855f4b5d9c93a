"""A voice whose audio can be read back: the word "w7" sounds as 0.3 s of the sample value 107. Exact to the sample."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable
from typing import Literal

from faulty_engine import SAMPLE_RATE_HZ, Line, Script
from livekit import rtc

from tts_plugin.protocol import Audio, Failed, Word, Words
from tts_plugin.wire import encode_audio

WORD_S = 0.3
WORD_SAMPLES = int(WORD_S * SAMPLE_RATE_HZ)
CHUNK_SAMPLES = 2_400
_FIRST_VALUE = 100

Fate = Literal["cut", "freeze", "error", "draining"]


def code(*, until_s: float | None = None, fate: Fate = "cut", drip: bool = False) -> Script:
    """Says every word as soon as it is whole. After `until_s` of audio its fate strikes. `drip`: in real time."""

    async def script(line: Line) -> None:
        await line.start()
        taken, sent, spoken = 0, 0, 0
        while True:
            match = re.compile(r"\s*w(\d+)(?=\s)" if not line.ended.is_set() else r"\s*w(\d+)").match(line.text, taken)
            if match is None:
                if line.ended.is_set():
                    break
                await asyncio.sleep(0.005)
                continue
            word = Word(match[0].strip(), spoken * WORD_S, (spoken + 1) * WORD_S, taken, match.end())
            await line.send(Words(line.say.id, (word,)))
            taken, spoken = match.end(), spoken + 1
            pcm = (_FIRST_VALUE + int(match[1])).to_bytes(2, "little") * WORD_SAMPLES
            for start in range(0, WORD_SAMPLES, CHUNK_SAMPLES):
                if until_s is not None and sent >= until_s * SAMPLE_RATE_HZ:
                    await _strike(line, fate)
                    return
                chunk = pcm[2 * start : 2 * (start + CHUNK_SAMPLES)]
                await line.ws.send_bytes(encode_audio(Audio(line.say.id, sent, chunk)))
                sent += CHUNK_SAMPLES
                if drip:
                    await asyncio.sleep(CHUNK_SAMPLES / SAMPLE_RATE_HZ)  # the engine's pace, not a wait
        line.sent_samples = sent
        await line.done()

    return script


async def _strike(line: Line, fate: Fate) -> None:
    if fate == "cut":
        assert line.request.transport is not None
        line.request.transport.abort()
    elif fate != "freeze":
        await line.send(Failed(line.say.id, "engine_error" if fate == "error" else "draining", "made to fail", True))


def text_of(words: Iterable[int]) -> str:
    return " ".join(f"w{n}" for n in words)


def read_back(frames: list[rtc.AudioFrame]) -> list[tuple[int, float]]:
    """What is heard: each word, and for how long in seconds."""
    samples = itertools.chain.from_iterable(frame.data for frame in frames)
    runs = [(value, len(list(run)) / SAMPLE_RATE_HZ) for value, run in itertools.groupby(samples)]
    return [(value - _FIRST_VALUE, length_s) for value, length_s in runs if value]  # LiveKit ends with 10 ms of silence
