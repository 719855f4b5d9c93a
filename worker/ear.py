"""What the embedded recogniser is asked and when, and what its answers mean: a caller's side of WS /transcribe.

Takes windows of audio with their speech probability and the recogniser's answers; gives messages to send and words to
tell. No sockets, no VAD, and the clock is a parameter. Outlives a lost connection: `again` says what to send anew.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from worker.speech_segments import BEGIN_WINDOWS, PRE_ROLL_WINDOWS, WINDOW_S, Edge, SpeechSegments

PARTIAL_WINDOWS = 16  # words while speaking: every 0.5 s
SHORT_SPEECH_S = 0.3
NOISE = frozenset({"you", "the", "a"})  # what the recogniser makes of a click or a breath
SEND_BYTES = 32 * 1024

Message = str | bytes


@dataclass(frozen=True, slots=True)
class Said:
    kind: Literal["begin", "interim", "preflight", "final"]
    text: str = ""
    speech_s: float = 0.0


class _Debt(NamedTuple):
    """A question whose answer is a FINAL."""

    speech_s: float
    asked_s: float


class Ear:
    def __init__(self) -> None:
        self._segments = SpeechSegments()
        self._recent: deque[bytes] = deque(maxlen=PRE_ROLL_WINDOWS + BEGIN_WINDOWS)
        self._audio = bytearray()  # the segment so far
        self._id = 0
        self._silence_id: int | None = None  # the question asked when this silence began
        self._words: str | None = None  # its answer
        self._owed: dict[int, _Debt] = {}
        self._since_ask = 0
        self.told: list[Said] = []  # what is new since it was last cleared

    @property
    def is_owed(self) -> bool:
        """Speech has ended whose words are not there yet."""
        return bool(self._owed)

    def waits_since(self) -> float | None:
        """When the oldest question was asked whose answer is due, by the caller's clock."""
        return min((debt.asked_s for debt in self._owed.values()), default=None)

    def hear(self, window: bytes, probability: float, now_s: float) -> Iterator[Message]:
        was_speaking = self._segments.speaking
        edge = self._segments.feed(probability)
        self._recent.append(window)
        if edge is Edge.BEGIN:
            yield from self._begin()
        elif was_speaking:
            self._audio += window
            yield window
            yield from self._follow(edge, now_s)

    def end(self, now_s: float) -> Iterator[Message]:
        """There will be no more audio."""
        if self._segments.speaking:
            yield from self._end(now_s)
        self._segments = SpeechSegments()

    def answered(self, answer: dict[str, Any]) -> None:
        kind, number, text = answer["type"], answer.get("id"), answer.get("text", "")
        if number in self._owed:
            self._tell("final", text, self._owed.pop(number).speech_s)
        elif kind == "preflight" and number == self._silence_id:
            self._words = text
            self._tell("preflight", text, self._speech_s)
        elif kind == "partial" and self._segments.speaking and self._silence_id is None:
            self._tell("interim", text, self._speech_s)

    def again(self, now_s: float) -> Iterator[Message]:
        """A new connection: the segment that has not been answered yet, and what was asked about it."""
        if not (self._segments.speaking or self._owed):
            return
        yield '{"type":"start"}'
        for start in range(0, len(self._audio), SEND_BYTES):
            yield bytes(self._audio[start : start + SEND_BYTES])
        if self._owed:
            speech_s = [debt.speech_s for debt in self._owed.values()][-1]
            self._owed = {self._id + 1: _Debt(speech_s, now_s)}
            yield self._ask("final")
        elif self._silence_id is not None and self._words is None:
            self._silence_id = self._id + 1
            yield self._ask("preflight")

    @property
    def _speech_s(self) -> float:
        return self._segments.speech_windows * WINDOW_S

    def _begin(self) -> Iterator[Message]:
        self._audio = bytearray(b"".join(self._recent))
        self._silence_id = self._words = None
        self._since_ask = 0
        self.told.append(Said("begin"))
        yield '{"type":"start"}'
        yield bytes(self._audio)

    def _follow(self, edge: Edge, now_s: float) -> Iterator[Message]:
        self._since_ask += 1
        if edge in (Edge.END, Edge.CUT):
            yield from self._end(now_s)
            if edge is Edge.CUT:
                self._recent.clear()  # it has been heard
        elif edge is Edge.SILENT:
            self._silence_id, self._words = self._id + 1, None
            yield self._ask("preflight")
        elif self._segments.silent_windows == 0:
            self._silence_id = self._words = None
            if self._since_ask >= PARTIAL_WINDOWS:
                yield self._ask("partial")

    def _end(self, now_s: float) -> Iterator[Message]:
        if self._words is not None:
            self._tell("final", self._words, self._speech_s)
        elif self._silence_id is not None:
            self._owed[self._silence_id] = _Debt(self._speech_s, now_s)
        else:
            self._owed[self._id + 1] = _Debt(self._speech_s, now_s)
            yield self._ask("final")
        self._silence_id = self._words = None

    def _ask(self, kind: str) -> str:
        self._id += 1
        self._since_ask = 0
        return json.dumps({"type": kind, "id": self._id})

    def _tell(self, kind: Literal["interim", "preflight", "final"], text: str, speech_s: float) -> None:
        letters = "".join(c for c in text.lower() if c.isalnum() or c == " ").strip()
        if letters and not (speech_s < SHORT_SPEECH_S and letters in NOISE):
            self.told.append(Said(kind, text, speech_s))
