"""Raw deltas in, words with their place in the source out. Runs are read in groups: "3 March" and "$5 million" are one.

The same text gives the same words however it was cut into deltas: a reader sees whole runs only, and of a run that is
still growing only what no way of going on could change. A run waits for those after it only while a reader is in doubt.
"""

from __future__ import annotations

import re

from tts_plugin.speakable.languages import find_locale
from tts_plugin.speakable.locale import Reading
from tts_plugin.speakable.markup import clean
from tts_plugin.speakable.plain import plain
from tts_plugin.speakable.runs import Run, Runs
from tts_plugin.speakable.spoken_word import Pause, SpokenWord
from tts_plugin.speakable.window import Token, Undecided, Window

_MEMORY = 4  # runs that a reader may look back on
_LONGEST_READ_CHARS = 64  # a longer run is nothing that one would read as a whole
_SENTENCE_END = re.compile(r"[^\W\d_]{2}[.!?…][\"')\]”’*_]*$")
_SPACED_GROUP = re.compile(r"([0-9]{3}(?:,[0-9]+)?)([.,;:!?]*)")
_SPACED_START = re.compile(r"[-+]?[$€£]?[0-9]{1,3}")
_ADDRESS = re.compile(r"://|^www\.|@", re.I)


class Normaliser:
    """Feed deltas, get words as soon as they are certain; `end` gives the last ones. Nothing it is fed makes it raise.

    `language` is one of LANGUAGES, with or without a region; None is English. Raises UnknownLanguage for others.
    """

    def __init__(self, language: str | None = None) -> None:
        self._locale = find_locale(language)
        self._runs = Runs()
        self._held: list[Token] = []  # bounded by how far ahead readers look
        self._before: list[Token] = []  # the last _MEMORY
        self._pause: Pause = "none"
        self._covered = 0  # end of the last word's span
        self._words: list[SpokenWord] = []

    @property
    def characters(self) -> int:
        """How many characters were fed."""
        return self._runs.characters

    @property
    def covered(self) -> int:
        """Where the span of the last given word ends."""
        return self._covered

    @property
    def at_sentence_end(self) -> bool:
        """The word that may still grow looks like the last one of a sentence."""
        if self._runs.in_tag:
            return False
        last = self._runs.partial or (self._held[-1].core + self._held[-1].trail if self._held else "")
        return bool(_SENTENCE_END.search(last[-_LONGEST_READ_CHARS:]))

    def feed(self, delta: str) -> list[SpokenWord]:
        self._take(self._runs.feed(delta))
        if self._held:
            self._read(is_over=False)
        return self._given()

    def end(self) -> list[SpokenWord]:
        self._take(self._runs.end())
        self._read(is_over=True)
        return self._given()

    def take_sentence_end(self) -> list[SpokenWord]:
        """The text pauses: give the word that may still grow, if it looks like the end of a sentence."""
        if self.at_sentence_end:
            self._take(self._runs.close())
            self._read(is_over=True)
        return self._given()

    def cover_all(self) -> None:
        """What is left of the source belongs to no word."""
        self._covered = self.characters

    def _given(self) -> list[SpokenWord]:
        words, self._words = self._words, []
        return words

    def _take(self, runs: list[Run | None]) -> None:
        for run in runs:
            if run is None:
                self._read(is_over=True)
                continue
            text = clean(run.raw, run.is_first_of_line)
            if text:
                self._held.append(Token.of(text, run.end, run.pause, run.is_first_of_line))
                self._read(is_over=False, is_complete=True)
            else:
                self._raise_pause(run.pause)

    def _read(self, *, is_over: bool, is_complete: bool = False) -> None:
        """`is_complete`: a run has just ended, so nothing is known of the next one."""
        while self._held:
            partial = "" if is_complete else self._runs.partial
            window = Window(self._before, self._held, partial, is_over)
            try:
                reading = self._reading(window)
            except Undecided:
                return
            self._say(reading)

    def _reading(self, window: Window) -> Reading:
        token = window.token
        if len(token.core) <= _LONGEST_READ_CHARS or _ADDRESS.search(token.core):
            window, extra = self._spaced(window)
            for reader in self._locale.readers:
                if reading := reader(window, self._locale):
                    return reading._replace(runs=reading.runs + extra)
        return Reading(plain(token.core, self._locale))

    def _spaced(self, window: Window) -> tuple[Window, int]:
        """10 000 is one number where groups of digits are written with white space; and how many runs it adds."""
        if not self._locale.groups_by_space or window.token.trail or not _SPACED_START.fullmatch(window.core):
            return window, 0
        core, runs = window.core, 1
        while match := window.next_match(_SPACED_GROUP, "0123456789", runs):
            core += match[1]
            runs += 1
            if "," in match[1] or match[2]:
                break
        return (window.joined(core, runs), runs - 1) if runs > 1 else (window, 0)

    def _say(self, reading: Reading) -> None:
        tokens, self._held = self._held[: reading.runs], self._held[reading.runs :]
        first, last = tokens[0], tokens[-1]
        trail = last.trail if reading.trail is None else reading.trail
        self._before = [*self._before, *tokens[:-1], Token(last.lead, last.core, trail, last.end)][-_MEMORY:]
        self._raise_pause(first.pause)
        words = [word for word in reading.text.split() if any(map(str.isalnum, word))]
        if not words:
            self._pause_of(first.whole)
            return
        if first.is_approximate and first.core[:1].isdecimal():
            words.insert(0, self._locale.symbols["~"])
        words[0] = (first.lead if reading.lead is None else reading.lead) + words[0]
        words[-1] += trail
        for n, text in enumerate(words, 1):
            end = last.end if n == len(words) else self._covered + (last.end - self._covered) * n // len(words)
            self._words.append(SpokenWord(text, self._covered, end, self._pause))
            self._covered, self._pause = end, "none"

    def _raise_pause(self, pause: Pause) -> None:
        if self._pause != "line" and pause != "none":
            self._pause = pause

    def _pause_of(self, raw: str) -> None:
        """Marks that stand alone are not spoken, but heard."""
        if raw[-1:] in (".", "!", "?", "…"):
            self._raise_pause("line")
        elif raw[-1:] in tuple(",;:-–—|•*"):
            self._raise_pause("clause")
