"""Characters in, runs out: what stands between white space, without tags. Bounded, whatever the text.

Knows no language and nothing of what a run means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tts_plugin.speakable.spoken_word import MAX_WORD_LETTERS, Pause

_MAX_RAW_CHARS = 512  # of one run without white space, before it is cut
_MAX_TAG_CHARS = 200
_LINE_ENDS = frozenset("\n\r\v\f\x85\u2028\u2029")
_FULL_STOPS = frozenset("。！？")  # end a sentence without white space after them
_AUTOLINK = re.compile(r"<(?:[a-z]{2,8}://|mailto:|[\w.+-]+@)[^\s<>]+>", re.I)
_BREAK_TAG = re.compile(r"</?\s*(?:br|p|s|break|li|div|h\d)\b", re.I)


@dataclass(frozen=True, slots=True)
class Run:
    """`raw` has no white space. It ends before character `end` of the source. `pause` is the break before it."""

    raw: str
    end: int
    pause: Pause
    is_first_of_line: bool


class Runs:
    """Feed deltas, get runs as soon as they are complete. A break that ends a group comes as None."""

    def __init__(self) -> None:
        self.characters = 0  # taken in
        self.partial = ""  # a run that may still grow, bounded by _MAX_RAW_CHARS
        self._partial_end = 0
        self._letters = 0  # how many the partial run begins with, when it is nothing else
        self._tag: str | None = None  # may be a tag, bounded by _MAX_TAG_CHARS
        self._pause: Pause = "none"
        self._fresh_line = True
        self._complete: list[Run | None] = []

    @property
    def in_tag(self) -> bool:
        return self._tag is not None

    def feed(self, delta: str) -> list[Run | None]:
        for char in delta:
            self.characters += 1
            if self._tag is not None:
                self._in_tag(char)
            elif char == "<":
                self._tag = char
            else:
                self._take(char, self.characters)
        return self._given()

    def end(self) -> list[Run | None]:
        self._not_a_tag()
        self._close()
        return self._given()

    def close(self) -> list[Run | None]:
        """The partial run is complete as it is."""
        self._close()
        return self._given()

    def _given(self) -> list[Run | None]:
        complete, self._complete = self._complete, []
        return complete

    def _in_tag(self, char: str) -> None:
        tag = self._tag = (self._tag or "") + char
        if char == ">" and _AUTOLINK.fullmatch(tag):
            self._not_a_tag()
        elif char == ">" and len(tag) > 2:
            self._tag = None
            if _BREAK_TAG.match(tag):
                self._close()
                self._break("clause")
        elif char == "<":
            self._tag = tag[:-1]
            self._not_a_tag(before=1)
            self._tag = char
        elif (len(tag) == 2 and not (char.isalpha() or char in "/!?")) or len(tag) > _MAX_TAG_CHARS or char in "\r\n":
            self._not_a_tag()

    def _not_a_tag(self, before: int = 0) -> None:
        literal, self._tag = self._tag or "", None
        start = self.characters - before - len(literal)
        for offset, char in enumerate(literal, 1):
            self._take(char, start + offset)

    def _take(self, char: str, end: int) -> None:
        if char.isspace():
            self._close()
            if char in _LINE_ENDS:
                self._break("line")
                self._fresh_line = True
            return
        if self.partial and (self._is_long(char) or (self.partial[-1] in _FULL_STOPS and char.isalnum())):
            self._close()
        if self._letters == len(self.partial) and char.isalpha():
            self._letters += 1
        self.partial += char
        self._partial_end = end
        if len(self.partial) >= _MAX_RAW_CHARS:
            self._close()

    def _is_long(self, char: str) -> bool:
        """Japanese has no white space: nobody waits for the end of such a run."""
        return self._letters == len(self.partial) >= MAX_WORD_LETTERS and char.isalpha()

    def _break(self, pause: Pause) -> None:
        if self._pause != "line":
            self._pause = pause
        self._complete.append(None)

    def _close(self) -> None:
        if self.partial:
            self._complete.append(Run(self.partial, self._partial_end, self._pause, self._fresh_line))
            self._pause, self._fresh_line = "none", False
        self.partial, self._letters = "", 0
