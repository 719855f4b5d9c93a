"""`tts-ops dev --phone`: one command, and a softphone dials the agent. What is missing or in use is one line."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from phone_line import Wire
from telephone import telephone

from worker import dev
from worker.bench.stack import EMBEDDED, free_ports
from worker.dev.phone import NoPhone, Softphone, ports
from worker.phone.bridge import Bridge
from worker.settings import Settings

ENDS_S = 5.0


class Running:
    """The command, and what it has printed so far."""

    def __init__(self, env: dict[str, str], cwd: Path) -> None:
        command = [sys.executable, "-m", "worker.cli", "dev", "--phone"]
        self.process = subprocess.Popen(command, env=os.environ | env, cwd=cwd, stdout=-1, stderr=-2, text=True)
        self.lines: list[str] = []
        threading.Thread(target=self._read, name="dev-phone-output", daemon=True).start()

    def said(self, pattern: str, deadline_s: float = 90.0) -> re.Match[str]:
        deadline = time.monotonic() + deadline_s
        while not (found := re.search(pattern, "".join(self.lines))):
            assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < deadline, "".join(self.lines)
            time.sleep(0.05)
        return found

    def _read(self) -> None:
        assert self.process.stdout
        self.lines.extend(iter(self.process.stdout.readline, ""))


@pytest.fixture
def running(phone_programs: dict[str, Path], the_wire: Wire, tmp_path: Path) -> Iterator[Running]:
    taken = free_ports()
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind((the_wire.here, 0))
        more = {"REDIS_PORT": str(one.getsockname()[1]), "SIP_PORT": str(other.getsockname()[1])}
    more |= {"PHONE_LISTEN": the_wire.here, "SIP_RTP_PORTS": "47000-47199"}
    started = Running({**EMBEDDED, **taken, **more}, tmp_path)
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.wait(10)


@pytest.mark.phone
@pytest.mark.timeout(170, method="signal")
def test_a_softphone_dials_what_the_command_says_and_hears_the_agent(
    running: Running, the_wire: Wire, tmp_path: Path
) -> None:
    told = running.said(r"dial sip:agent@(\S+) with a softphone .*account (\w+)@\S+ password (\S+)")
    address, user, password = told.groups()
    with telephone(the_wire, tmp_path / "phone", address, user=user, password=password) as phone:
        phone.dial("agent", address)
        phone.wait_for("CALL_ESTABLISHED", 30)
        phone.first_audible()
        phone.hang_up()
    began = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0
    assert time.monotonic() - began < 2 * ENDS_S
    assert "redis" not in " ".join(line for line in running.lines if "WARNING" in line)


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]


def test_its_parts_start_in_order_and_no_secret_is_on_a_command_line(missing) -> None:  # type: ignore[no-untyped-def]
    try:
        made = {part.name: part for part in dev.parts(settings(), phone=True)}
    except (NoPhone, dev.DevError) as error:
        missing(str(error))
    assert made["livekit"].after == ("redis",)
    assert set(made["sip"].after) == {"redis", "livekit"}
    secret = made["worker"].env["LIVEKIT_API_SECRET"]
    assert secret in made["sip"].env["SIP_CONFIG_BODY"]
    assert not any(secret in str(word) for part in made.values() for word in part.command)


def test_without_redis_or_bridge_one_line_says_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.dev.phone.shutil.which", lambda _: None)
    with pytest.raises(NoPhone, match="redis-server is not installed: apt install redis-server"):
        dev.parts(settings(), phone=True)
    monkeypatch.setattr("worker.dev.phone.shutil.which", lambda _: "/usr/bin/redis-server")
    monkeypatch.setattr("worker.setup.go_program.GoProgram.find", lambda self: None)
    with pytest.raises((NoPhone, dev.DevError), match="is not installed"):
        dev.parts(settings(), phone=True)


def test_with_a_livekit_elsewhere_it_says_that_it_needs_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.run(settings(livekit_url="wss://livekit.example", livekit_api_secret="x" * 32), phone=True) == 1
    assert "--phone needs a LiveKit of its own" in capsys.readouterr().err


def test_its_ports_are_named_by_their_settings() -> None:
    assert {port.variable for port in ports(settings())} == {"REDIS_PORT", "SIP_PORT"}


def test_the_password_is_new_each_time_and_not_in_a_repr() -> None:
    one, other = (Softphone(Bridge.of(settings())) for _ in range(2))
    assert one.password != other.password
    assert one.password not in repr(one)
    assert one.password in one.told()
