"""The real models, loaded once, on a free port; speech from the embedded voice, brought to 16 kHz."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import uvicorn
from hibari import Hibari

from tts_plugin.engine.config import EngineConfig
from tts_plugin.server import uvicorn_config
from worker.embedded.moonshine import Moonshine
from worker.embedded.server import Models, create_app, load

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


@contextmanager
def serving(models: Models, port: int = 0) -> Iterator[str]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn_config(create_app(models)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="models-server")
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


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
