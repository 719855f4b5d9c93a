"""A real livekit-server, and a real redis for what several watchers share."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

import pytest
from livekit_people import KEY

from worker.dev.livekit import server_environment
from worker.setup import livekit_server


@pytest.fixture(scope="module")
def livekit_url(missing: Callable[[str], NoReturn]) -> Iterator[str]:
    program = livekit_server.find() or missing("livekit-server")
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        for each in (tcp, udp):
            each.bind(("127.0.0.1", 0))
        port, udp_port = tcp.getsockname()[1], udp.getsockname()[1]
    process = subprocess.Popen([program], env=os.environ | server_environment(KEY, port=port, udp_port=udp_port))
    try:
        deadline = time.monotonic() + 20
        while not answers(f"http://127.0.0.1:{port}/"):
            assert time.monotonic() < deadline, "livekit-server does not answer"
            time.sleep(0.05)
        yield f"ws://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=2):
        return True
    return False
