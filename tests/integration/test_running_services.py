"""`pytest tests/integration -v --integration`: the services that are running, asked as a client would.

Without --integration nothing is run: they are somebody's, and may be elsewhere (TTS_OPS_URL, TTS_OPS_KEY).
"""

from __future__ import annotations

import io
import json
import os
import urllib.request
import wave
from typing import Any

import pytest

URL = os.environ.get("TTS_OPS_URL", "http://127.0.0.1:8080").rstrip("/")
KEY = os.environ.get("TTS_OPS_KEY")


@pytest.fixture(autouse=True)
def _asked_for(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--integration"):
        pytest.skip("asks running services; --integration says that they are there")


def ask(path: str, body: dict[str, Any] | None = None) -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {KEY}"} if KEY else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers), timeout=50) as answer:
        read: bytes = answer.read()
        return read


def test_the_service_says_that_it_is_well() -> None:
    assert json.loads(ask("/health"))["parts"]["voice"]


def test_a_text_is_spoken_as_a_wav_file() -> None:
    spoken = ask("/synthesize", {"text": "Hello from the integration test.", "output_format": "wav"})
    with wave.open(io.BytesIO(spoken)) as sound:
        assert sound.getnframes() / sound.getframerate() > 0.8


def test_a_question_is_answered_in_sound() -> None:
    assert len(ask("/chat", {"text": "Hello, how are you today?", "stream": True})) > 10_000


def test_its_metrics_are_there() -> None:
    assert b"voice_http_requests_total" in ask("/metrics")
