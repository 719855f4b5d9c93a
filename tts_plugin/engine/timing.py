"""When each word sounds, as well as can be known: the model gives no timings, so they are estimated.

A word cannot sound before the text window with its first id was read, nor before the word ahead of it is over; it takes
the time that its letters take at a usual speaking rate. Words are told once the sound has passed them, so none lies
beyond the audio. Expect errors of some tenths of a second, growing to a second or two late in a long text.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tts_plugin.protocol import Word

CHARACTERS_PER_S = 15.0  # of English at 150 to 170 words a minute, the space counted
_LEAD_IN_S = 0.1  # before the first sound of speech


@dataclass(frozen=True, slots=True)
class _Expected:
    text: str
    source_start: int
    source_end: int
    first_id: int  # index of the first id that is certainly not the word before


class WordClock:
    """`window_s` of audio follow each text window of `window_ids` ids."""

    def __init__(self, window_ids: int, window_s: float) -> None:
        self._window_ids, self._window_s = window_ids, window_s
        self._waiting: deque[_Expected] = deque()  # bounded by the text's length
        self._at_s = _LEAD_IN_S  # the end of the last word that was told

    def add(self, text: str, source_start: int, source_end: int, first_id: int) -> None:
        self._waiting.append(_Expected(text, source_start, source_end, first_id))

    def passed(self, audio_s: float) -> tuple[Word, ...]:
        """The words that are over when so much audio was made."""
        words = []
        while self._waiting and self._end_s(self._waiting[0]) <= audio_s:
            words.append(self._tell(self._waiting.popleft(), 1.0))
        return tuple(words)

    def rest(self, audio_s: float) -> tuple[Word, ...]:
        """All that is left, when the audio is over: squeezed into what there is of it."""
        left = sum(len(word.text) + 1 for word in self._waiting) / CHARACTERS_PER_S
        self._at_s = min(self._at_s, audio_s)
        pace = min(1.0, (audio_s - self._at_s) / left) if left else 1.0
        words = tuple(self._tell(word, pace, last_s=audio_s) for word in self._waiting)
        self._waiting.clear()
        return words

    def _start_s(self, word: _Expected) -> float:
        return max(self._at_s, word.first_id // self._window_ids * self._window_s)

    def _end_s(self, word: _Expected) -> float:
        return self._start_s(word) + (len(word.text) + 1) / CHARACTERS_PER_S

    def _tell(self, word: _Expected, pace: float, last_s: float | None = None) -> Word:
        start = self._start_s(word) if last_s is None else self._at_s
        end = start + pace * (len(word.text) + 1) / CHARACTERS_PER_S
        self._at_s = end if last_s is None else min(end, last_s)
        return Word(word.text, start, self._at_s, word.source_start, word.source_end)
