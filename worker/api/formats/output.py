"""Which formats there are, and at which sample rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

OutputFormat = Literal["wav", "pcm", "mp3", "opus", "flac", "aac", "mulaw"]
SampleRate = Literal[8_000, 16_000, 22_050, 24_000, 44_100, 48_000]

SAMPLE_RATES: tuple[int, ...] = get_args(SampleRate)
_OPUS_RATES = (8_000, 16_000, 24_000, 48_000)  # what the codec knows; its decoder makes 48 kHz of each
_TELEPHONE_HZ = 8_000


@dataclass(frozen=True, slots=True)
class Output:
    """What the caller asked for. `sample_rate_hz` None: as the voice speaks; mulaw: 8 kHz."""

    format: OutputFormat = "wav"
    sample_rate_hz: int | None = None

    def rate_hz(self, spoken_hz: int) -> int:
        """What is sent, of a voice that speaks at `spoken_hz`."""
        if self.sample_rate_hz is not None:
            return self.sample_rate_hz
        if self.format == "mulaw":
            return _TELEPHONE_HZ
        return spoken_hz if spoken_hz in self.allowed_hz else 48_000

    @property
    def allowed_hz(self) -> tuple[int, ...]:
        return _OPUS_RATES if self.format == "opus" else SAMPLE_RATES

    @property
    def possible(self) -> bool:
        """Whether the format can have this sample rate."""
        return self.sample_rate_hz is None or self.sample_rate_hz in self.allowed_hz

    def media_type(self, spoken_hz: int) -> str:
        """The Content-Type."""
        if self.format == "pcm":
            return f"audio/pcm; rate={self.rate_hz(spoken_hz)}; channels=1; format=s16le"
        if self.format == "mulaw":
            rate_hz = self.rate_hz(spoken_hz)
            return "audio/basic" if rate_hz == _TELEPHONE_HZ else f"audio/PCMU; rate={rate_hz}; channels=1"
        return _MEDIA_TYPES[self.format]


_MEDIA_TYPES: dict[OutputFormat, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "flac": "audio/flac",
    "aac": "audio/aac",
}
MEDIA_TYPES = ("audio/pcm", "audio/basic", "audio/PCMU", *_MEDIA_TYPES.values())
