"""A telephone: baresip in the namespace, driven over its control socket, heard while it records."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from phone_line import PASSWORD, USER, Wire

RATE_HZ = 8_000
LOUD = 0.01  # of full scale: audible
CONTROL_PORT = 4444
HEADER_BYTES = 44
MODULES = "/usr/lib/baresip/modules"


@dataclass(slots=True)
class Telephone:
    """Dials, speaks, presses keys and hears. Times are monotonic seconds."""

    wire: Wire
    folder: Path
    process: subprocess.Popen[bytes]
    control: socket.socket
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    _pending: bytes = b""

    def command(self, name: str, params: str = "") -> None:
        said = json.dumps({"command": name, "params": params}).encode()
        self.control.sendall(b"%d:%s," % (len(said), said))

    def dial(self, number: str, sip_address: str) -> float:
        """When the INVITE was sent."""
        at = time.monotonic()
        self.command("dial", f"sip:{number}@{sip_address}")
        return at

    def hang_up(self) -> None:
        self.command("hangup")

    def press(self, digits: str) -> None:
        for digit in digits:
            self.command("sndcode", digit)
            time.sleep(0.15)
            self.command("sndcode")  # the key is let go; two of one key need a gap
            time.sleep(0.15)

    def say(self, path: Path) -> float:
        """Play a wav of 8 kHz; returns when it began."""
        self.command("ausrc", f"aufile,{path}")
        return time.monotonic()

    def wait_for(self, kind: str, deadline_s: float = 45.0) -> tuple[float, dict[str, Any]]:
        """The first event of this type."""
        deadline = time.monotonic() + deadline_s
        while True:
            for event in self.events:
                if event[1].get("type") == kind:
                    return event
            assert time.monotonic() < deadline, f"no {kind} within {deadline_s:g} s; {self.kinds}\n{self.log()}"
            self._read(0.05)

    @property
    def kinds(self) -> list[str]:
        self._read(0.0)
        return [str(e.get("type")) for _, e in self.events]

    def heard(self) -> np.ndarray:
        """What came out of the loudspeaker so far, [T] float32 at RATE_HZ."""
        return self._recording("dec")

    def spoken(self) -> np.ndarray:
        return self._recording("enc")

    def first_audible(self, *, after: int = 0, deadline_s: float = 20.0) -> float:
        """When the first audible sample behind the `after`th was played."""
        deadline = time.monotonic() + deadline_s
        while True:
            now = time.monotonic()
            sound = self.heard()
            loud = np.flatnonzero(np.abs(sound[after:]) > LOUD)
            if loud.size:
                return now - (len(sound) - after - int(loud[0])) / RATE_HZ
            assert now < deadline, f"nothing audible within {deadline_s:g} s; {self.kinds}\n{self.log()}"
            time.sleep(0.01)

    def quiet(self, seconds: float = 1.0, deadline_s: float = 30.0) -> int:
        """Wait until nothing was audible for so long; how many samples were heard by then."""
        deadline = time.monotonic() + deadline_s
        while True:
            sound = self.heard()
            need = int(seconds * RATE_HZ)
            if len(sound) >= need and not (np.abs(sound[-need:]) > LOUD).any():
                return len(sound)
            assert time.monotonic() < deadline, f"not quiet within {deadline_s:g} s"
            time.sleep(0.02)

    def packets_in(self) -> int:
        """IP packets that arrived at the telephone."""
        told = subprocess.run(
            ["ip", "netns", "exec", self.wire.namespace, "cat", "/proc/net/dev"], capture_output=True, text=True
        ).stdout
        return next(int(row.split()[2]) for row in told.splitlines() if row.strip().startswith("vp"))

    def log(self, lines: int = 60) -> str:
        return "\n".join((self.folder / "baresip.log").read_text(errors="replace").splitlines()[-lines:])

    def recordings(self, side: str) -> list[np.ndarray]:
        """Of each call one, in their order. `side`: enc, what was said; dec, what was heard."""
        found = sorted(self.folder.glob(f"dump-*-{side}.wav"))  # the name holds the time
        return [_samples(path) for path in found]

    def keys_heard(self) -> str:
        """The keys that the other side pressed."""
        self._read(0.0)
        return "".join(str(e.get("param")) for _, e in self.events if e.get("type") == "CALL_DTMF_START")

    def _recording(self, side: str) -> np.ndarray:
        found = self.recordings(side)
        return found[-1] if found else np.zeros(0, np.float32)

    def _read(self, timeout_s: float) -> None:
        self.control.settimeout(timeout_s or 0.001)
        try:
            data = self.control.recv(65536)
        except (TimeoutError, BlockingIOError):
            return
        self._pending += data
        while b":" in self._pending:
            size, rest = self._pending.split(b":", 1)
            if len(rest) < int(size) + 1:
                return
            self.events.append((time.monotonic(), json.loads(rest[: int(size)])))
            self._pending = rest[int(size) + 1 :]


@contextmanager
def telephone(
    wire: Wire,
    folder: Path,
    sip_address: str,
    *,
    password: str = PASSWORD,
    port: int = 5060,
    control_port: int = CONTROL_PORT,
    user: str = USER,
) -> Iterator[Telephone]:
    """One telephone with a line to `sip_address`; what it says at first is silence."""
    folder.mkdir(parents=True, exist_ok=True)
    write_wav(folder / "silence.wav", np.zeros(600 * RATE_HZ, np.float32))
    modules = ("g711", "aufile", "sndfile", "account", "auresamp", "menu", "ctrl_tcp")
    (folder / "config").write_text(
        "\n".join(
            [
                f"module_path {MODULES}",
                *(f"module {name}.so" for name in modules if name not in ("account", "menu", "ctrl_tcp")),
                *(f"module_app {name}.so" for name in modules if name in ("account", "menu", "ctrl_tcp")),
                f"sip_listen {wire.there}:{port}",
                f"audio_source aufile,{folder / 'silence.wav'}",
                "audio_player aufile,/dev/null",
                "audio_srate 8000-8000",
                "ausrc_srate 8000",
                "auplay_srate 8000",
                "audio_channels 1-1",
                "audio_buffer 20-100",
                f"snd_path {folder}",
                f"ctrl_tcp_listen {wire.there}:{control_port}",
                "call_max_calls 4",
            ]
        )
        + "\n"
    )
    (folder / "accounts").write_text(
        f'<sip:{user}@{sip_address};transport=udp>;auth_user={user};auth_pass="{password}";regint=0;'
        "audio_codecs=PCMU/8000/1;answermode=auto\n"
    )
    with (folder / "baresip.log").open("wb") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", wire.namespace, "baresip", "-f", str(folder), "-s"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        yield Telephone(wire, folder, process, _control(wire, process, folder, control_port))
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def then_silence(samples: np.ndarray, seconds: float = 120.0) -> np.ndarray:
    """A telephone hangs up where its file ends."""
    return np.concatenate([samples, np.zeros(int(seconds * RATE_HZ), np.float32)])


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return path


def _samples(path: Path) -> np.ndarray:
    data = path.read_bytes()[HEADER_BYTES:]
    return np.frombuffer(data[: len(data) // 2 * 2], np.int16).astype(np.float32) / 32768


def _control(wire: Wire, process: subprocess.Popen[bytes], folder: Path, port: int) -> socket.socket:
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((wire.there, port), timeout=1)
        except OSError:
            said = (folder / "baresip.log").read_text(errors="replace")
            assert process.poll() is None, f"baresip ended:\n{said}"
            assert time.monotonic() < deadline, f"baresip's control socket did not open:\n{said}"
            time.sleep(0.05)
