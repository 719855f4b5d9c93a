"""Phrases as sound, ready before they are needed: what the agent says when nobody can speak for it.

Holds them in memory; who renders and keeps them is clip_maker.py's and clip_store.py's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from livekit import rtc
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, TimedString

from worker.phrases import Phrases

Kind = Literal["filler", "apology", "cut_off", "goodbye", "unavailable", "cannot_hear", "not_heard", "hold"]
Said = Literal[Kind, "greeting"]

SAMPLE_RATE_HZ = 24_000
FRAME_SAMPLES = SAMPLE_RATE_HZ // 20
_TONE_HZ, _TONE_S, _TONE_LEVEL = 392.0, 0.25, 0.12


@dataclass(frozen=True, slots=True)
class Clip:
    """One phrase: `pcm` is mono int16 at SAMPLE_RATE_HZ."""

    kind: Said
    text: str
    pcm: bytes = field(repr=False)

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / SAMPLE_RATE_HZ

    def frames(self, *, words: bool = True) -> Iterator[rtc.AudioFrame]:
        """50 ms each; the first carries the text for the transcript when `words`."""
        size = 2 * FRAME_SAMPLES
        for start in range(0, len(self.pcm), size):
            piece = self.pcm[start : start + size]
            frame = rtc.AudioFrame(piece, SAMPLE_RATE_HZ, 1, len(piece) // 2)
            if words and start == 0:
                spoken = TimedString(f"{self.text} ", start_time=0.0, end_time=self.seconds)
                frame.userdata[USERDATA_TIMED_TRANSCRIPT] = [spoken]
            yield frame


class Clips:
    """Every phrase of one agent. One that nobody could render yet sounds as a short tone: better than silence."""

    def __init__(self, phrases: Phrases, *, greeting: str = "") -> None:
        """`greeting`: an agent's first words, which a telephone call has in hand before it is answered."""
        self.phrases = phrases
        self.greeting = greeting
        self._texts: dict[Kind, tuple[str, ...]] = {
            kind: said if isinstance(said := getattr(phrases, kind), tuple) else (said,) for kind in get_args(Kind)
        }
        self._pcm: dict[str, bytes] = {}
        self._fillers = 0

    @property
    def texts(self) -> list[str]:
        """Every phrase, the ones that are needed soonest first."""
        said = [text for kind in get_args(Kind) for text in self._texts[kind]]
        return [*said, self.greeting] if self.greeting else said  # last: one that cannot be spoken costs no other

    @property
    def fillers(self) -> tuple[str, ...]:
        return self._texts["filler"]

    def put(self, text: str, pcm: bytes) -> None:
        """From any thread."""
        self._pcm[text] = pcm

    def has(self, text: str) -> bool:
        return text in self._pcm

    def begin_turn(self) -> None:
        """The first filler of a turn is the first of the list again."""
        self._fillers = 0

    def first_words(self) -> Clip | None:
        """The greeting, once it is rendered."""
        pcm = self._pcm.get(self.greeting)
        return Clip("greeting", self.greeting, pcm) if pcm else None

    def get(self, kind: Kind) -> Clip:
        """The next filler, or the one clip of another kind."""
        texts = self._texts[kind]
        text = texts[0]
        if kind == "filler":
            text = texts[self._fillers % len(texts)]
            self._fillers += 1
        return Clip(kind, text, self._pcm.get(text) or tone())


def tone() -> bytes:
    """A soft tone with soft edges, mono int16."""
    at = np.arange(int(_TONE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    edges = np.minimum(1.0, np.minimum(at, _TONE_S - at) / 0.03)
    return (np.sin(2 * np.pi * _TONE_HZ * at) * edges * _TONE_LEVEL * 32767).astype(np.int16).tobytes()
