"""PCM at another sample rate: the best there is for a whole file, the one that waits least for a stream.

docs/decisions/0014-resampling.md has the figures. Mono pcm_s16le in and out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import av
import numpy as np
import soxr  # type: ignore[import-untyped]
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray


class Resampler(Protocol):
    """`feed` gives what is ready, `finish` the rest; neither raises for any samples."""

    def feed(self, pcm: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class Best:
    """soxr: what the new rate cannot hold, and what it adds, is 90 dB down. It holds up to 60 ms back."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16", quality="HQ")

    def feed(self, pcm: bytes) -> bytes:
        return self._through(pcm, last=False) if pcm else b""

    def finish(self) -> bytes:
        return self._through(b"", last=True)

    def _through(self, pcm: bytes, *, last: bool) -> bytes:
        made: NDArray[np.int16] = self._stream.resample_chunk(np.frombuffer(pcm, "<i2"), last=last)
        return made.astype("<i2").tobytes()


class Soonest:
    """FFmpeg's: it holds 2 ms back."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._frames = Frames(from_hz)
        self._resampler = AudioResampler("s16", "mono", to_hz)

    def feed(self, pcm: bytes) -> bytes:
        return self._through(self._frames.of(pcm)) if pcm else b""

    def finish(self) -> bytes:
        return self._through(None) if self._frames.samples else b""

    def _through(self, frame: av.AudioFrame | None) -> bytes:
        return b"".join(made.to_ndarray().tobytes() for made in self._resampler.resample(frame))


class Frames:
    """PCM as FFmpeg's frames, one after another in time. `samples`: how many there were."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self.samples = 0

    def of(self, pcm: bytes) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.time_base = Fraction(1, self._rate_hz)
        frame.pts = self.samples
        self.samples += frame.samples
        return frame
