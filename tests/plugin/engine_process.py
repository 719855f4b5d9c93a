"""A real engine in a process of its own: with the embedded voice, or with the VibeVoice folder in PLUGIN_TEST_MODEL."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_START_S = 40.0
_PROGRAM = """
import faulthandler, os, sys
faulthandler.dump_traceback_later(30)  # into the log, which a test shows when the engine does not get ready
from tts_plugin import server
from tts_plugin.engine.config import EngineConfig
config = EngineConfig(backend="embedded")
if folder := os.environ.get("PLUGIN_TEST_MODEL"):
    import torch
    torch.set_num_threads(1)
    config = EngineConfig(backend="vibevoice", model_path=folder, device="cpu", max_batch_size=8, lead_s=60.0)
server.run(config, "127.0.0.1", int(sys.argv[1]))
"""


class EngineProcess:
    """One engine, started and ended by its process id, always on the same port."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._log = log
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        with self._log.open("a") as out:
            self._process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(self._port)], stdout=out, stderr=out)
        try:
            _wait_until_ready(self.url, self._process, self._log)
        except BaseException:
            self.end()
            raise

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            self.send_signal(signal.SIGCONT)
            self.send_signal(number)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the engine ended with {process.returncode}:\n{log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"no engine within {_START_S} s:\n{log.read_text()[-2000:]}")
