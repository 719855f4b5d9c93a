"""The recogniser over Moonshine's own graphs: right words, drafts that cost no words, calls that do not mix."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest

from worker.embedded.moonshine import Moonshine, MoonshineError
from worker.embedded.recogniser import Recogniser

SENTENCES = (
    "What is the capital of France?",
    "I would like to book a table for tomorrow evening.",
    "Could you tell me when the museum opens on Sunday morning?",
    "The parcel has not arrived yet and I am getting worried.",
    "Please speak a little slower, I did not understand you.",
)
_PLAIN = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])


@pytest.fixture
def recogniser(moonshine: Moonshine) -> Iterator[Recogniser]:
    made = Recogniser(moonshine)
    yield made
    made.close()


def as_samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32768)


async def test_five_spoken_sentences_are_heard(recogniser: Recogniser, speak: Callable[[str], bytes]) -> None:
    heard = [(await recogniser.hear(speak(sentence))).text for sentence in SENTENCES]
    assert jiwer.wer([_PLAIN(s) for s in SENTENCES], [_PLAIN(h) for h in heard]) <= 0.2, heard


async def test_calls_at_once_each_get_their_own_words(recogniser: Recogniser, speak: Callable[[str], bytes]) -> None:
    spoken = [speak(sentence) for sentence in SENTENCES]
    alone = [(await recogniser.hear(pcm)).text for pcm in spoken]
    together = await asyncio.gather(*(recogniser.hear(pcm) for pcm in spoken * 3))
    assert [heard.text for heard in together] == alone * 3


@pytest.mark.parametrize("sentence", SENTENCES[:3])
def test_a_draft_changes_no_word(moonshine: Moonshine, speak: Callable[[str], bytes], sentence: str) -> None:
    samples = as_samples(speak(sentence))
    alone = moonshine.transcribe(samples)
    half = moonshine.transcribe(samples[: len(samples) // 2])
    for draft in (alone, half, alone[:3] + [5000, 5001] + alone[5:], [7] * 40):
        assert moonshine.text(moonshine.transcribe(samples, draft)) == moonshine.text(alone)


def test_a_moment_too_short_for_speech_has_no_words(moonshine: Moonshine) -> None:
    assert moonshine.transcribe(np.zeros(800, np.float32)) == []


async def test_a_glance_gives_way_when_it_is_abandoned(recogniser: Recogniser, speak: Callable[[str], bytes]) -> None:
    abandoned = threading.Event()
    abandoned.set()
    assert await recogniser.glance(speak(SENTENCES[0]), (), abandoned) is None


async def test_a_glance_is_dropped_when_every_thread_is_busy(
    moonshine: Moonshine, speak: Callable[[str], bytes]
) -> None:
    recogniser = Recogniser(moonshine, workers=1)
    pcm = speak(SENTENCES[1])
    final = asyncio.create_task(recogniser.hear(pcm))
    await asyncio.sleep(0)  # the final has taken the only thread
    assert await recogniser.glance(pcm, (), threading.Event()) is None
    assert (await final).text
    recogniser.close()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MoonshineError, match=r"encoder_model\.ort is missing"):
        Moonshine(tmp_path)
