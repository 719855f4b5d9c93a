"""Where a stretch of speech begins and ends, from one speech probability per 32 ms window. No I/O, no clock.

It falls silent sooner than AgentSession's own VAD on purpose: the words must be there when that one ends the turn.
"""

from __future__ import annotations

from enum import Enum, auto

WINDOW_SAMPLES = 512  # 32 ms at 16 kHz, what the VAD takes
WINDOW_S = 0.032
SPEAK, STILL_SPEAK = 0.5, 0.35  # probability to begin, and to go on
BEGIN_WINDOWS = 2
PRE_ROLL_WINDOWS = 6  # before those two; with 0.5 s of silence in front the recogniser invents a "You"
END_WINDOWS = 7  # 224 ms: AgentSession's VAD takes 256
LONG_WINDOWS, LONG_END_WINDOWS = 375, 3  # from 12 s on a short silence ends it: longer passes are slow
MAX_WINDOWS = 750  # 24 s: cut, silence or not


class Edge(Enum):
    NONE = auto()
    BEGIN = auto()  # this window and PRE_ROLL_WINDOWS + BEGIN_WINDOWS - 1 before it belong to the segment
    SILENT = auto()  # the first silent window: ask for the words now (they are right: VAD falls 65 ms after the voice)
    END = auto()
    CUT = auto()  # END in mid-speech; the next window begins a new segment


class SpeechSegments:
    def __init__(self) -> None:
        self.speaking = False
        self.silent_windows = 0
        self.speech_windows = 0  # of this segment, silence left out
        self._windows = 0
        self._rising = 0

    def feed(self, probability: float) -> Edge:
        return self._inside(probability) if self.speaking else self._outside(probability)

    def _outside(self, probability: float) -> Edge:
        self._rising = self._rising + 1 if probability >= SPEAK else 0
        if self._rising < BEGIN_WINDOWS:
            return Edge.NONE
        self.speaking, self._rising = True, 0
        self._windows = self.speech_windows = BEGIN_WINDOWS
        self.silent_windows = 0
        return Edge.BEGIN

    def _inside(self, probability: float) -> Edge:
        self._windows += 1
        if probability > STILL_SPEAK:
            self.silent_windows = 0
            self.speech_windows += 1
            return self._end(Edge.CUT) if self._windows >= MAX_WINDOWS else Edge.NONE
        self.silent_windows += 1
        if self.silent_windows >= (END_WINDOWS if self._windows < LONG_WINDOWS else LONG_END_WINDOWS):
            return self._end(Edge.END)
        return Edge.SILENT if self.silent_windows == 1 else Edge.NONE

    def _end(self, edge: Edge) -> Edge:
        self.speaking = False
        return edge
