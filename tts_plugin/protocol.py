"""The engine protocol: the messages of one WebSocket that carries many utterances.

JSON text messages both ways, one binary message per chunk of audio downwards; wire.py turns them into bytes and back.
Knows nothing of sockets, clocks or voices; docs/protocol.md is the same thing in prose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

PROTOCOL_VERSION = 1
MAX_MESSAGE_BYTES = 64 * 1024
MAX_ID_CHARS = 64
BYTES_PER_SAMPLE = 2  # pcm_s16le, mono

UtteranceClass = Literal["call", "interactive", "file"]
Pace = Literal["realtime", "fast"]
FailureCode = Literal[
    "at_capacity", "bad_message", "unknown_voice", "too_long", "draining", "engine_error", "timed_out"
]


class ProtocolError(ValueError):
    """A message that is not in the protocol: says what was given and what is allowed."""


@dataclass(frozen=True, slots=True)
class Hello:
    type: ClassVar[str] = "hello"
    protocol: int = PROTOCOL_VERSION
    voices: tuple[str, ...] = ()  # downwards only
    engine: str = ""  # downwards only: the back-end's name


@dataclass(frozen=True, slots=True)
class Say:
    type: ClassVar[str] = "say"
    id: str
    voice: str = "default"
    klass: UtteranceClass = "call"  # "class" on the wire
    pace: Pace = "realtime"
    seed: int | None = None
    language: str | None = None
    traceparent: str | None = None
    credit_samples: int | None = None  # None: the server's default window


@dataclass(frozen=True, slots=True)
class Text:
    type: ClassVar[str] = "text"
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class End:
    type: ClassVar[str] = "end"
    id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    type: ClassVar[str] = "cancel"
    id: str


@dataclass(frozen=True, slots=True)
class Credit:
    """The reader took `samples` more off its hands: the engine may send as many again."""

    type: ClassVar[str] = "credit"
    id: str
    samples: int


@dataclass(frozen=True, slots=True)
class Played:
    """The listener has heard `samples` of the utterance."""

    type: ClassVar[str] = "played"
    id: str
    samples: int


@dataclass(frozen=True, slots=True)
class Started:
    type: ClassVar[str] = "started"
    id: str
    sample_rate_hz: int
    voice: str


@dataclass(frozen=True, slots=True)
class Word:
    """One word: when it sounds, and the characters of the fed text that it speaks."""

    text: str
    start_s: float
    end_s: float
    source_start: int
    source_end: int


@dataclass(frozen=True, slots=True)
class Words:
    type: ClassVar[str] = "words"
    id: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    audio_s: float = 0.0
    ttfa_s: float | None = None  # first text in -> first sample out
    compute_s: float = 0.0
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    type: ClassVar[str] = "done"
    id: str
    samples: int
    cancelled: bool = False
    stats: Stats = field(default_factory=Stats)


@dataclass(frozen=True, slots=True)
class Failed:
    type: ClassVar[str] = "failed"
    id: str  # "" when no utterance is meant
    code: FailureCode
    message: str
    retryable: bool = False
    samples_sent: int = 0
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """`pcm` (pcm_s16le, mono) starts at sample `offset` of the utterance."""

    id: str
    offset: int
    pcm: bytes

    @property
    def samples(self) -> int:
        return len(self.pcm) // BYTES_PER_SAMPLE


Up = Hello | Say | Text | End | Cancel | Credit | Played
Down = Hello | Started | Words | Done | Failed
