"""What the callers of a benchmark say: questions, sentences with a pause inside, and how they get their sound.

The speech is made by the installation's own voice over its HTTP face, so no model is loaded here. Silence before and
after is cut off, so that the last sample is the last sound.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass

import aiohttp
import numpy as np

from worker.bench.caller import SAMPLE_RATE_HZ

PAUSE_S = 0.7
TRIM_PEAK = 328  # 1 % of full scale: what counts as audible
SYNTHESIS_S = 60.0

QUESTIONS = (
    "What is the capital of France?",
    "How many days are there in one week?",
    "Can you tell me a short joke?",
    "What colour is the sky on a clear day?",
    "Who wrote the play about Romeo and Juliet?",
    "What do bees make?",
    "Which animal says meow?",
    "How do I boil an egg?",
    "What is two plus three?",
    "When does the summer begin?",
    "Where do penguins live?",
    "What should I wear in the rain?",
)
PAUSED = (
    ("I would like to book a table", "for four people on Friday."),
    ("My order number is four seven two nine", "and it has not arrived yet."),
    ("When I came home yesterday", "the door was wide open."),
    ("Could you please tell me", "what time the train leaves?"),
    ("If it rains tomorrow", "should I still come to the garden?"),
    ("The reason why I am calling", "is that my phone is broken."),
    ("I was thinking about", "buying a new bicycle for my son."),
    ("Because the shop was closed", "I could not return the shoes."),
    ("I need to speak to somebody", "about the bill from last month."),
    ("Before I pay for this", "can you explain the price to me?"),
)
BARGE_IN = "Sorry, please stop for a moment and listen to me."


@dataclass(frozen=True, slots=True)
class Speech:
    text: str
    pcm: bytes  # pcm_s16le mono at 24 kHz, no silence at either end

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / SAMPLE_RATE_HZ


async def speak(http_url: str, text: str) -> Speech:
    """`text` in the installation's own voice."""
    request = {"text": text, "output_format": "wav"}
    timeout = aiohttp.ClientTimeout(total=SYNTHESIS_S)
    async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as http:
        async with http.post(f"{http_url}/synthesize", json=request) as answer:
            samples = _samples(await answer.read())
    return Speech(text, _trim(samples).tobytes())


async def speak_with_pause(http_url: str, before: str, after: str) -> Speech:
    """A sentence spoken in one go, its silence after `before` drawn out to 0.7 s: it sounds as if more will come."""
    speech = await speak(http_url, f"{before}, {after}")
    start, end = _longest_silence(np.frombuffer(speech.pcm, np.int16))
    return Speech(f"{before} {after}", speech.pcm[: 2 * start] + _pause() + speech.pcm[2 * end :])


async def speak_apart(http_url: str, before: str, after: str) -> Speech:
    """Two clauses spoken one by one with 0.7 s between them: the first one sounds as if it were all."""
    first, second = await speak(http_url, before), await speak(http_url, after)
    return Speech(f"{before} {after}", first.pcm + _pause() + second.pcm)


def _pause() -> bytes:
    return bytes(2 * int(PAUSE_S * SAMPLE_RATE_HZ))


def _longest_silence(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> tuple[int, int]:
    """[start, end) of the longest run of samples that nobody hears, in the middle three fifths."""
    low, high = len(samples) // 5, 4 * len(samples) // 5
    sounding = low + np.flatnonzero(np.abs(samples[low:high].astype(np.int32)) > TRIM_PEAK)
    longest = int(np.diff(sounding).argmax())
    return int(sounding[longest]) + 1, int(sounding[longest + 1])


def _samples(wav: bytes) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    with wave.open(io.BytesIO(wav)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"the voice gave {file.getnchannels()} channels of {8 * file.getsampwidth()} bit")
        rate_hz, samples = file.getframerate(), np.frombuffer(file.readframes(1 << 30), np.int16)
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    wanted = np.arange(0, len(samples) - 1, rate_hz / SAMPLE_RATE_HZ)
    return np.interp(wanted, np.arange(len(samples)), samples).astype(np.int16)


def _trim(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    sounding = np.flatnonzero(np.abs(samples.astype(np.int32)) > TRIM_PEAK)
    if not sounding.size:
        raise ValueError("the voice gave nothing but silence")
    return samples[sounding[0] : sounding[-1] + 1]
