"""The one place that makes text speakable, for every back-end: raw deltas in, words with their place in the source out.

Takes away markdown, emoji, control and bidi characters and tags, shortens URLs, splits what is too long to be a word.
The same text gives the same words however it was cut into deltas. Knows no voice: numbers and abbreviations are read by
the back-end. Nothing here raises, whatever the text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

Pause = Literal["none", "clause", "line"]

MAX_WORD_LETTERS = 32
_MAX_RAW_CHARS = 512  # of one run without white space, before it is cut
_MAX_TAG_CHARS = 200

_LINE_ENDS = frozenset("\n\r\v\f\x85\u2028\u2029")
_SPEAKABLE_SYMBOLS = frozenset("+=%&@<>°©®#") | frozenset("$€£¥₹₩¢")
_SPOKEN = {
    "×": " times ",
    "÷": " divided by ",
    "±": " plus or minus ",
    "−": "-",
    "℃": "°C",
    "℉": "°F",
    "’": "'",
    "‘": "'",
}
_URL = re.compile(
    r"(?:https?://|ftp://)?(?:www\.)?((?:[\w-]+\.)+[a-z]{2,})(?::\d+)?(?:[/?#]\S*?)?(?=[.,;:!?)\"'\]]*$)", re.I
)
_LINK_TARGET = re.compile(r"\]\([^()\s]*\)")
_ENTITY = re.compile(r"&#?\w{2,10};")
_TIMES = re.compile(r"(?<=\d)\*(?=\d)")
_DASH_INSIDE = re.compile(r"(?<=[^\W\d_])(?:[—–]|--|\.{3}|…)(?=[^\W_])|[。！？](?=\w)")
_LONG_RUN = re.compile(rf"\w{{{MAX_WORD_LETTERS}}}(?=\w)")
_SENTENCE_END = re.compile(r"[^\W\d_]{2}[.!?…][\"')\]”’*_]*$")
_BREAK_TAG = re.compile(r"</?\s*(?:br|p|s|break|li|div|h\d)\b", re.I)


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """`text` has no white space. [start, end) are characters of the source; each word's span begins where the last
    one's ended, so that together they cover everything up to `end`. `pause` is what lies before the word."""

    text: str
    start: int
    end: int
    pause: Pause = "none"


class Normaliser:
    """Feed deltas, get words as soon as they are complete; `end` gives the last one."""

    def __init__(self) -> None:
        self._at = 0  # characters taken in
        self._covered = 0  # end of the last word's span
        self._raw = ""  # a word that may still grow, bounded by _MAX_RAW_CHARS
        self._raw_end = 0
        self._tag: str | None = None  # may be a tag, bounded by _MAX_TAG_CHARS
        self._pause: Pause = "none"
        self._fresh_line = True
        self._words: list[SpokenWord] = []

    @property
    def characters(self) -> int:
        """How many characters were fed."""
        return self._at

    @property
    def covered(self) -> int:
        """Where the span of the last given word ends."""
        return self._covered

    @property
    def at_sentence_end(self) -> bool:
        """The word that may still grow looks like the last one of a sentence."""
        return self._tag is None and bool(_SENTENCE_END.search(self._raw))

    def feed(self, delta: str) -> list[SpokenWord]:
        for char in delta:
            self._at += 1
            if self._tag is not None:
                self._in_tag(char)
            elif char == "<":
                self._tag = char
            else:
                self._take(char, self._at)
        return self._given()

    def end(self) -> list[SpokenWord]:
        self._not_a_tag()
        self._close_word()
        return self._given()

    def take_sentence_end(self) -> list[SpokenWord]:
        """The text pauses: give the word that may still grow, if it looks like the end of a sentence."""
        if self.at_sentence_end:
            self._close_word()
        return self._given()

    def cover_all(self) -> None:
        """What is left of the source belongs to no word."""
        self._covered = self._at

    def _given(self) -> list[SpokenWord]:
        words, self._words = self._words, []
        return words

    def _in_tag(self, char: str) -> None:
        tag = self._tag = (self._tag or "") + char
        if char == ">" and len(tag) > 2:
            self._tag = None
            if _BREAK_TAG.match(tag):
                self._close_word()
                self._raise_pause("clause")
        elif char == "<":
            self._tag = tag[:-1]
            self._not_a_tag(before=1)
            self._tag = char
        elif (len(tag) == 2 and not (char.isalpha() or char in "/!?")) or len(tag) > _MAX_TAG_CHARS or char in "\r\n":
            self._not_a_tag()

    def _not_a_tag(self, before: int = 0) -> None:
        literal, self._tag = self._tag or "", None
        start = self._at - before - len(literal)
        for offset, char in enumerate(literal, 1):
            self._take(char, start + offset)

    def _take(self, char: str, end: int) -> None:
        if not char.isspace():
            self._raw += char
            self._raw_end = end
            if len(self._raw) >= _MAX_RAW_CHARS:
                self._close_word()
            return
        self._close_word()
        if char in _LINE_ENDS:
            self._raise_pause("line")
            self._fresh_line = True

    def _raise_pause(self, pause: Pause) -> None:
        if self._pause != "line":
            self._pause = pause

    def _close_word(self) -> None:
        raw, self._raw = self._raw, ""
        if not raw:
            return
        is_mark = self._fresh_line and (raw.startswith(("```", "~~~")) or not raw.strip(">#"))
        self._fresh_line = False
        texts = [] if is_mark else _speakable(raw)
        if not texts:
            self._pause_of(raw)
            return
        for n, text in enumerate(texts, 1):
            end = (
                self._raw_end
                if n == len(texts)
                else self._covered + (self._raw_end - self._covered) * n // (len(texts))
            )
            self._words.append(SpokenWord(text, self._covered, end, self._pause))
            self._covered, self._pause = end, "none"

    def _pause_of(self, raw: str) -> None:
        """Marks that stand alone are not spoken, but heard."""
        if raw[-1] in ".!?…":
            self._raise_pause("line")
        elif raw[-1] in ",;:-–—|•*":
            self._raise_pause("clause")


def _speakable(raw: str) -> list[str]:
    """What is said of a run without white space: mostly one word, sometimes none, sometimes several."""
    if _ENTITY.search(raw):
        raw = html.unescape(raw)
    raw = _LINK_TARGET.sub("", raw).lstrip("![(<*_\"'“‘") if "](" in raw else raw
    raw = _shorten_url(raw)
    raw = _DASH_INSIDE.sub(lambda m: m.group() + " ", _TIMES.sub("×", raw))
    text = unicodedata.normalize("NFC", "".join(map(_character, raw)))
    words = [w for part in text.split() for w in _LONG_RUN.sub(r"\g<0> ", part).split()]
    return [w for w in words if any(c.isalnum() or c in _SPEAKABLE_SYMBOLS for c in w) and w.strip("#")]


def _shorten_url(raw: str) -> str:
    if "://" not in raw and not raw.lstrip("(<[\"'").lower().startswith("www."):
        return raw
    return _URL.sub(lambda m: m.group(1), raw, count=1)


def _character(char: str) -> str:
    if char in _SPOKEN:
        return _SPOKEN[char]
    if char.isascii():
        return "" if char in "*`~|[]{}\\^" or not char.isprintable() else " " if char == "_" else char
    if char in _SPEAKABLE_SYMBOLS:
        return char
    if 0x1D400 <= ord(char) <= 0x1D7FF or 0xFF01 <= ord(char) <= 0xFF5E:  # letters drawn as symbols, full width
        return unicodedata.normalize("NFKC", char)
    category = unicodedata.category(char)
    return "" if category[0] in "CZ" or category in ("So", "Sk", "Sm", "Me") or 0xFE00 <= ord(char) <= 0xFE0F else char
