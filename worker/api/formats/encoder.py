"""PCM becomes a format, piece by piece. PyAV (FFmpeg) encodes and muxes.

Written into a file that can be sought, the header is right at the end. Written into one that cannot, every piece goes
out as soon as it is encoded, and the header says that the length is unknown.
"""

from __future__ import annotations

from typing import IO, Protocol

import av

from worker.api.formats.output import Output, OutputFormat
from worker.api.formats.resampling import Best, Frames, Resampler, Soonest
from worker.api.formats.wav import HEADER_BYTES, wav_header


class Sink(Protocol):
    """What is written to."""

    def write(self, data: bytes, /) -> int: ...


class Encoder(Protocol):
    """`feed` mono pcm_s16le; `finish` writes what is left. Neither raises for any samples."""

    def feed(self, pcm: bytes) -> None: ...
    def finish(self) -> None: ...


def encode_into(file: IO[bytes], output: Output, spoken_hz: int) -> Encoder:
    """A whole file: `file` can be sought, and holds nothing else."""
    if output.format in ("wav", "pcm"):
        return _Samples(file, output, spoken_hz, file)
    return _Whole(file, output, spoken_hz)


class Stream:
    """A format as it is made: what `feed` and `finish` give, end to end, is the answer."""

    def __init__(self, output: Output, spoken_hz: int) -> None:
        self._outlet = _Outlet()
        self._encoder: Encoder
        if output.format in ("wav", "pcm"):
            self._encoder = _Samples(self._outlet, output, spoken_hz, None)
        else:
            self._encoder = _Coded(self._outlet, output, spoken_hz, streamed=True)

    def feed(self, pcm: bytes) -> bytes:
        self._encoder.feed(pcm)
        return self._outlet.take()

    def finish(self) -> bytes:
        self._encoder.finish()
        return self._outlet.take()


class _Outlet:
    """A file that can only be written: FFmpeg then knows that it cannot go back."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


class _Samples:
    """wav and pcm. `file`: where the header is put right at the end; None: nowhere."""

    def __init__(self, sink: Sink, output: Output, spoken_hz: int, file: IO[bytes] | None) -> None:
        self._sink, self._file = sink, file
        self._rate_hz = output.rate_hz(spoken_hz)
        self._resampled: Resampler | None = None
        if self._rate_hz != spoken_hz:
            self._resampled = (Soonest if file is None else Best)(spoken_hz, self._rate_hz)
        self._has_header = output.format == "wav"
        if self._has_header:
            sink.write(wav_header(self._rate_hz, None))

    def feed(self, pcm: bytes) -> None:
        self._sink.write(self._resampled.feed(pcm) if self._resampled else pcm)

    def finish(self) -> None:
        if self._resampled:
            self._sink.write(self._resampled.finish())
        if self._has_header and self._file is not None:
            pcm_bytes = self._file.tell() - HEADER_BYTES
            self._file.seek(0)
            self._file.write(wav_header(self._rate_hz, pcm_bytes))
            self._file.seek(0, 2)


class _Coded:
    """What FFmpeg's encoders and muxers make."""

    def __init__(
        self, sink: Sink | IO[bytes], output: Output, spoken_hz: int, *, streamed: bool, rate_hz: int | None = None
    ) -> None:
        codec, container, options = _CODED[output.format]
        at_once = {"flush_packets": "1", **_STREAMED.get(output.format, {})} if streamed else {}
        self._container = av.open(sink, "w", format=container, options=at_once)
        stream = self._container.add_stream(codec, rate=rate_hz or output.rate_hz(spoken_hz), options=options)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "mono"
        self._stream = stream
        self._frames = Frames(spoken_hz)
        self._container.start_encoding()

    def feed(self, pcm: bytes) -> None:
        if pcm:
            self._container.mux(self._stream.encode(self._frames.of(pcm)))

    def finish(self) -> None:
        if not self._frames.samples:  # a text without a word: encoders want one sample to make a file of
            self.feed(bytes(2))
        self._container.mux(self._stream.encode(None))
        self._container.close()


class _Whole:
    """A file of what `_Coded` makes: resampled before, and better than an encoder does it."""

    def __init__(self, file: IO[bytes], output: Output, spoken_hz: int) -> None:
        rate_hz = output.rate_hz(spoken_hz)
        self._resampled = Best(spoken_hz, rate_hz) if rate_hz != spoken_hz else None
        self._coded = _Coded(file, output, rate_hz, streamed=False, rate_hz=rate_hz)

    def feed(self, pcm: bytes) -> None:
        self._coded.feed(self._resampled.feed(pcm) if self._resampled else pcm)

    def finish(self) -> None:
        if self._resampled:
            self._coded.feed(self._resampled.finish())
        self._coded.finish()


# Codec, container, options of the codec. Bit rates at which speech of one channel loses nothing that is heard.
_CODED: dict[OutputFormat, tuple[str, str, dict[str, str]]] = {
    "mp3": ("libmp3lame", "mp3", {"b": "64000"}),
    "opus": ("libopus", "ogg", {"b": "48000", "application": "audio"}),
    "flac": ("flac", "flac", {}),
    "aac": ("aac", "adts", {"b": "64000"}),
    "mulaw": ("pcm_mulaw", "mulaw", {}),
}
# Nothing that has to be filled in later; and pages of 40 ms instead of one second.
_STREAMED: dict[OutputFormat, dict[str, str]] = {
    "mp3": {"write_xing": "0", "id3v2_version": "0"},
    "opus": {"page_duration": "40000"},
}
