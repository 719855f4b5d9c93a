"""A program: somebody's sound file on standard input becomes pcm_s16le, 16 kHz, mono on standard output.

Runs alone, with bounds on memory, time and output: a file that is small may want to be gigabytes, and FFmpeg reads
what strangers sent. Only containers that hold their sound themselves are opened, none that name other files or URLs.
Standard error says in one line what is wrong; exit code 2 says that the file is.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from typing import IO

import av
from av.audio.resampler import AudioResampler

RATE_HZ = 16_000
MAX_S = 600
# What av.open may probe for: no playlists, no concatenations, no devices.
CONTAINERS = "wav,w64,mp3,flac,ogg,mov,matroska,aac,amr,aiff,caf"
NAMES = "wav, mp3, flac, ogg, opus, m4a, mp4, webm, aac, amr, aiff, caf"
WRONG_FILE = 2

_MEMORY_BYTES = 1024 * 1024 * 1024
_CPU_S = 60
_MAX_BYTES = 2 * RATE_HZ * (MAX_S + 1)
_RATES_HZ = range(4_000, 192_001)
_MAX_CHANNELS = 8
_MAX_FRAME_SAMPLES = 1024 * 1024


class WrongFile(ValueError):
    """What is wrong with it, and what is allowed."""


def decode(source: IO[bytes], sink: IO[bytes]) -> None:
    """Raises WrongFile."""
    samples = 0
    for pcm in _pieces(source):
        samples += len(pcm) // 2
        if samples > MAX_S * RATE_HZ:
            raise WrongFile(f"it is longer than {MAX_S // 60} minutes, which is the most")
        sink.write(pcm)
    if not samples:
        raise WrongFile("there is no sound in it")
    sink.flush()


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": ""}
    try:
        container = av.open(source, "r", options=options, metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as error:
        raise WrongFile(f"it is no sound file; allowed: {NAMES}") from error
    with container:
        if not container.streams.audio:
            raise WrongFile("there is no sound in it")
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        yield from _resampled(_frames(container, stream))


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """What can be decoded: a damaged packet is left out, as every player does."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue
    except (av.FFmpegError, ValueError) as error:
        raise WrongFile("it is damaged") from error


def _resampled(frames: Iterator[av.AudioFrame]) -> Iterator[bytes]:
    resampler: AudioResampler | None = None
    kind: tuple[object, ...] = ()
    for frame in frames:
        _check(frame)
        if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
            if resampler is not None:
                yield from _through(resampler, None)
            resampler = AudioResampler("s16", "mono", RATE_HZ)
        frame.pts = None  # gaps in time are not filled
        assert resampler is not None
        yield from _through(resampler, frame)
    if resampler is not None:
        yield from _through(resampler, None)


def _check(frame: av.AudioFrame) -> None:
    if frame.sample_rate not in _RATES_HZ:
        raise WrongFile(f"its sample rate is {frame.sample_rate} Hz; allowed: {_RATES_HZ[0]} to {_RATES_HZ[-1]}")
    if frame.layout.nb_channels > _MAX_CHANNELS:
        raise WrongFile(f"it has {frame.layout.nb_channels} channels; allowed: 1 to {_MAX_CHANNELS}")
    if frame.samples > _MAX_FRAME_SAMPLES:
        raise WrongFile("it is damaged")


def _through(resampler: AudioResampler, frame: av.AudioFrame | None) -> Iterator[bytes]:
    for made in resampler.resample(frame):
        yield bytes(made.planes[0])[: 2 * made.samples]  # no numpy: its threads want much of what is allowed


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_BYTES, _MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    av.logging.set_level(None)
    try:
        decode(sys.stdin.buffer, sys.stdout.buffer)
    except WrongFile as wrong:
        sys.stderr.write(f"{wrong}\n")
        return WRONG_FILE
    except MemoryError:
        sys.stderr.write("it wants more memory than a sound file may\n")
        return WRONG_FILE
    return 0


if __name__ == "__main__":
    sys.exit(main())
