"""One sentence as the engine spoke it: its sound, where the chunks join, how long it took. Speaks through the protocol.

Knows nothing of what is right or wrong with it.
"""

from __future__ import annotations

import asyncio
import time
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tts_plugin.client import EngineClient, EngineUnreachable, Utterance
from tts_plugin.protocol import BYTES_PER_SAMPLE, Audio, Started
from worker.verify.signal import Samples

SILENCE_TIMEOUT_S = 60.0  # between two pieces of audio


@dataclass(frozen=True, slots=True)
class Spoken:
    text: str
    pcm: bytes  # pcm_s16le, mono
    rate_hz: int
    joins: tuple[int, ...]  # the first sample of every chunk but the first
    ttfa_s: float  # from the text to the first sample, as the client sees it
    took_s: float  # from the text to the end

    @property
    def samples(self) -> Samples:
        """[T] float32 in −1…1; 32767 is 1."""
        return np.frombuffer(self.pcm, np.int16).astype(np.float32) / np.float32(32_767)

    @property
    def audio_s(self) -> float:
        return len(self.pcm) / BYTES_PER_SAMPLE / self.rate_hz

    def write_wav(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(BYTES_PER_SAMPLE)
            file.setframerate(self.rate_hz)
            file.writeframes(self.pcm)


async def speak(client: EngineClient, text: str, *, voice: str, seed: int) -> Spoken:
    """As fast as the engine can, in the voice's own language. Raises EngineFailed and EngineUnreachable."""
    utterance = await client.say(voice=voice, klass="interactive", pace="fast", seed=seed)
    started_s = time.monotonic()
    utterance.feed(text)
    utterance.end()
    try:
        return await _collect(utterance, text, started_s)
    finally:
        utterance.cancel()


async def _collect(utterance: Utterance, text: str, started_s: float) -> Spoken:
    chunks: list[Audio] = []  # bounded by what the engine says of one sentence
    rate_hz, first_s = 0, None
    items = aiter(utterance)
    while True:
        try:
            async with asyncio.timeout(SILENCE_TIMEOUT_S):
                item = await anext(items)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise EngineUnreachable(f"the engine sent nothing for {SILENCE_TIMEOUT_S:.0f} s") from None
        if isinstance(item, Started):
            rate_hz = item.sample_rate_hz
        elif isinstance(item, Audio):
            first_s = first_s or time.monotonic()
            chunks.append(item)
    now_s = time.monotonic()
    return Spoken(
        text=text,
        pcm=b"".join(chunk.pcm for chunk in chunks),
        rate_hz=rate_hz or 24_000,
        joins=tuple(chunk.offset for chunk in chunks[1:]),
        ttfa_s=(first_s or now_s) - started_s,
        took_s=now_s - started_s,
    )
