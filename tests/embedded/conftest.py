"""The real models, loaded once, on a free port; speech from the embedded voice, brought to 16 kHz."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hibari import Hibari
from models_server import serving

from tts_plugin.engine.config import EngineConfig
from worker.embedded.moonshine import Moonshine
from worker.embedded.server import Models, load

RATE_HZ = 16_000
VOICE_RATE_HZ = 24_000
LOUD = 0.01


@pytest.fixture(scope="session")
def moonshine() -> Moonshine:
    return Moonshine()


@pytest.fixture(scope="session")
def models() -> Iterator[Models]:
    loaded = load(EngineConfig())
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def models_url(models: Models) -> Iterator[str]:
    with serving(models) as url:
        yield url


@pytest.fixture(scope="session")
def speak() -> Callable[[str], bytes]:
    """Text -> pcm_s16le at 16 kHz, without the silence before and after it."""
    voice = Hibari(voice="heart", threads=1)

    def speak(text: str) -> bytes:
        samples = np.asarray(voice(text), np.float32).reshape(-1)
        loud = np.flatnonzero(np.abs(samples) > LOUD)
        return (_to_16k(samples[loud[0] : loud[-1] + 1]) * 32767).astype(np.int16).tobytes()

    return speak


def _to_16k(samples: np.ndarray) -> np.ndarray:
    size = len(samples) * RATE_HZ // VOICE_RATE_HZ
    spectrum = np.fft.rfft(samples)[: size // 2 + 1]
    return np.clip(np.fft.irfft(spectrum, size) * size / len(samples), -1, 1)
