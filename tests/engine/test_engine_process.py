"""`tts-ops engine` as a process: it starts, it says why it does not, it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError, open_backend
from tts_plugin.server import run

PROGRAM = """
import sys
from tts_plugin.engine.config import EngineConfig
from tts_plugin.server import run
run(EngineConfig(backend="embedded"), "127.0.0.1", int(sys.argv[1]))
"""


@pytest.fixture
def process(unused_port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(unused_port)])
    deadline = time.monotonic() + 40
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline, "not ready in time"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{unused_port}/readyz", timeout=1):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_engine_within_two_seconds_even_with_a_call_on_it(
    process: subprocess.Popen[bytes], unused_port: int, number: signal.Signals
) -> None:
    with socket.create_connection(("127.0.0.1", unused_port)) as caller:
        caller.sendall(
            b"GET /stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b"101" in caller.recv(100)
        started = time.monotonic()
        os.kill(process.pid, number)
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - started < 2.0


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} .*ENGINE_PORT"):
            run(EngineConfig(), "127.0.0.1", port)


def test_the_engine_needs_neither_livekit_nor_torch_nor_settings() -> None:
    code = (
        "import sys, tts_plugin.client, tts_plugin.server, tts_plugin.engine.embedded; "
        "print([n for n in ('livekit', 'torch', 'pydantic_settings', 'worker') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_client_alone_needs_no_server_and_no_model() -> None:
    code = (
        "import sys, tts_plugin.client; "
        "print([n for n in ('livekit', 'fastapi', 'uvicorn', 'onnxruntime', 'hibari') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_vibevoice_that_was_never_pulled_is_refused_with_the_command_that_does() -> None:
    with pytest.raises(EngineError, match="TTS_BACKEND is 'vibevoice', but nobody/nothing is not on.*tts-ops pull"):
        open_backend(EngineConfig(backend="vibevoice", model_name="nobody/nothing"))


def test_an_unknown_default_voice_is_refused_at_start() -> None:
    with pytest.raises(EngineError, match="TTS_VOICE.*'bob'.*heart"):
        open_backend(EngineConfig(default_voice="bob"))


def test_without_hibari_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(EngineError, match=r"pip install 'tts-ops\[embedded\]'"):
        open_backend(EngineConfig())


def test_auto_says_which_back_end_speaks(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="tts_plugin"):
        open_backend(EngineConfig()).close()
    assert "the embedded voice speaks" in caplog.text
