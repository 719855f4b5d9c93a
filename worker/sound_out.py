"""Where speech goes: a loudspeaker, a WAV file or standard output, fed as it comes. Knows nothing of engines."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

PLAYERS = (  # raw pcm_s16le, mono, on standard input
    ("paplay", "--raw", "--format=s16le", "--channels=1", "--rate={rate}"),
    ("aplay", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "{rate}"),
    ("play", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", "{rate}", "-"),
    ("ffplay", "-loglevel", "error", "-nodisp", "-autoexit", "-f", "s16le", "-ar", "{rate}", "-i", "-"),
)


class Sink(Protocol):
    """Takes pcm_s16le, mono. `start` comes first, once."""

    def start(self, rate_hz: int) -> None: ...
    def write(self, pcm: bytes) -> None: ...


@contextmanager
def open_sink(out: str | None) -> Iterator[Sink]:
    """The sink for `out`: a path, "-" for standard output, None for the loudspeaker. OSError when there is none."""
    if out == "-":
        yield _Stdout()
    elif out is not None:
        with _WavFile(Path(out)) as wav:
            yield wav
    else:
        with _player() as player:
            yield player


class _Stdout:
    """WAV of unknown length: the sizes in its header say `endless`."""

    def start(self, rate_hz: int) -> None:
        endless = 0xFFFFFFFF
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, rate_hz * 2, 2, 16)
        self.write(struct.pack("<4sI4s", b"RIFF", endless, b"WAVE") + fmt + struct.pack("<4sI", b"data", endless))

    def write(self, pcm: bytes) -> None:
        sys.stdout.buffer.write(pcm)
        sys.stdout.buffer.flush()


class _WavFile:
    def __init__(self, path: Path) -> None:
        self._file = wave.open(str(path), "wb")  # noqa: SIM115
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(24_000)

    def __enter__(self) -> _WavFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def start(self, rate_hz: int) -> None:
        self._file.setframerate(rate_hz)

    def write(self, pcm: bytes) -> None:
        self._file.writeframes(pcm)


class _Pipe:
    """A player that reads raw PCM from its standard input."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, rate_hz: int) -> None:
        self._process = subprocess.Popen([p.format(rate=rate_hz) for p in self._command], stdin=subprocess.PIPE)

    def write(self, pcm: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(pcm)

    def finish(self) -> None:
        if self._process is not None:
            self._process.communicate()


@contextmanager
def _player() -> Iterator[Sink]:
    for command in PLAYERS:
        if shutil.which(command[0]):
            pipe = _Pipe(command)
            try:
                yield pipe
            finally:
                pipe.finish()
            return
    if not shutil.which("afplay"):
        names = ", ".join(c[0] for c in PLAYERS)
        raise OSError(f"no player found ({names}); write a file instead: tts-ops say TEXT -o out.wav")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "say.wav"
        with _WavFile(path) as wav:
            yield wav
        subprocess.run(["afplay", str(path)], check=True)
