"""How far one engine's audio has come through its text: what is surely said, and which words sound in what is pushed.

Pure: counts samples and characters, and believes the engine's word timings only so far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from tts_plugin.protocol import Word

SLACK_S = 0.06  # between two words of one message the edge is good to about so much; after the last it is exact
ESTIMATED_SLACK_S = 0.8  # of timings that are estimates: VibeVoice's, one window of speech
_IDS_A_WINDOW = 5
_LOOK_AHEAD_CHARS = 1_000  # of text that is counted at all


class Said:
    """`start`: the character of the whole text at which this engine began; `offset`: samples pushed before it did."""

    def __init__(self, start: int, offset: int, rate_hz: int) -> None:
        self.offset = offset
        self.received = 0  # samples
        self.pushed = 0
        self.sure = 0  # samples up to the end of a word, where speech may be cut
        self.estimated = False  # the timings are guesses, not measurements
        self.told_any = False
        self.told_until = start  # the character up to which words were told
        self._whole_words = 0  # that were fed
        self._in_word = False
        self._start = start
        self._rate_hz = rate_hz
        self._position = start
        self._unfinished: deque[Word] = deque()  # bounded, like the next, by the text
        self._untold: deque[Word] = deque()

    def feed(self, delta: str) -> None:
        """The engine was given this too."""
        words = ("x" if self._in_word else "") + delta + "x"  # the last one is never whole
        self._whole_words += len(words.split()) - 1
        self._in_word = not delta[-1:].isspace() if delta else self._in_word

    def words_in_hand(self, source: str) -> int:
        """How many whole words the engine was fed that it must still have before it. Never too many."""
        if self.estimated:  # what it has read is not known: at most one window of ids, of a word each, for one of audio
            windows = -(-self.received // round(ESTIMATED_SLACK_S * self._rate_hz))
            return self._whole_words - windows * _IDS_A_WINDOW
        return len(f"{source[self.told_until : self.told_until + _LOOK_AHEAD_CHARS]}x".split()) - 1

    def receive(self, samples: int) -> None:
        self.received += samples

    def tell(self, words: Iterable[Word]) -> None:
        """Words as the engine tells them; their spans are counted from what it was fed."""
        for word in words:
            self.told_any = True
            moved = replace(
                word, source_start=word.source_start + self._start, source_end=word.source_end + self._start
            )
            self.told_until = max(self.told_until, moved.source_end)
            self._unfinished.append(moved)
            self._untold.append(moved)

    def settle(self, source: str) -> int:
        """The character from which another engine would go on: after the last word that is surely here as a whole."""
        while self._unfinished and self._samples(self._unfinished[0].end_s + self._slack_s()) <= self.received:
            word = self._unfinished.popleft()
            follower = self._unfinished[0] if self._unfinished else None
            overlaps = follower is not None and follower.source_start < word.source_end
            if not overlaps and _is_whole(source, self._position, word.source_end):
                self._position = word.source_end
                sure_s = word.end_s + (ESTIMATED_SLACK_S if self.estimated else 0.0)
                self.sure = max(self.sure, self._samples(sure_s))
        return self._position

    def push(self, until: int) -> list[Word]:
        """So many samples go to the listener: the words that begin to sound in them."""
        self.pushed = until
        words = []
        while self._untold and self._samples(self._untold[0].start_s) < until:
            words.append(self._untold.popleft())
        return words

    def untold(self) -> list[Word]:
        words, self._untold = list(self._untold), deque()
        return words

    def _slack_s(self) -> float:
        if self.estimated:
            return ESTIMATED_SLACK_S
        return SLACK_S if len(self._unfinished) > 1 else 0.0

    def _samples(self, time_s: float) -> int:
        return round(time_s * self._rate_hz)


def _is_whole(source: str, start: int, end: int) -> bool:
    """Speech may go on at `end`: "$5" is two spoken words, whose spans are parts of it, or even the space before it."""
    at_edge = end >= len(source) or source[end].isspace() or source[end - 1 : end].isspace()
    return at_edge and not source[start:end].isspace() and end > start
