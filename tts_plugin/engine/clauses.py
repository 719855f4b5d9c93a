"""When the embedded voice begins to speak: words in, pieces to say out. A piece is said in one breath.

The first piece is the first clause of 4 to 6 words, so that speech starts early; later ones grow to whole sentences, so
that it sounds well. Pure logic: knows no clock and no voice; whoever has a listener about to run dry calls `take_now`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tts_plugin.text import SpokenWord

Ending = Literal["sentence", "clause", "cut"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Words of a piece: from `clause` on it may end at a comma, at `most` it is cut."""

    clause: int
    most: int


FIRST = Limits(clause=4, most=6)
LATER = Limits(clause=10, most=24)

_CLOSING = "\"'”’)]»"
_ABBREVIATION = re.compile(
    r"(?:(?:[a-z]\.)+|(?:dr|mr|mrs|ms|st|prof|sr|jr|vs|etc|approx|no|nos|fig|vol|inc|ltd|dept|est|gen|col|sgt|capt|rev|hon"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun)\.)",
    re.I,
)
_NO_CUT_AFTER = re.compile(
    r"an?|the|my|your|his|her|its|our|their|this|that|these|those|of|to|in|on|at|for|with|from|by|as|and|or|but|nor"
    r"|very|more|most|some|any|no|not|is|are|was|were|be|been|i|we|you|he|she|they|it|who|which|if|than|mrs?|ms|dr|prof"
    r"|st|vs|e\.g|i\.e"
)
_CUT_BEFORE = re.compile(
    r"and|or|but|nor|so|because|although|though|while|when|where|which|who|that|if|unless|until|then|to|in|on|at|for"
    r"|with|from|by|as|about|into|over|after|before|between|through|without"
)
_NUMBER = re.compile(
    r"\d|^(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:-\w+)?|hundred|thousand|[mbtr]+illion|dozen|point)$"
)


@dataclass(frozen=True, slots=True)
class Piece:
    words: tuple[SpokenWord, ...]
    ending: Ending

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


class Clauses:
    """Cuts the words of one utterance into pieces, in order; every word is in exactly one piece."""

    def __init__(self) -> None:
        self._words: list[SpokenWord] = []
        self._given = 0

    @property
    def _limits(self) -> Limits:
        """After "Sure." the listener has next to nothing to hear: the next piece is an early one too."""
        return LATER if self._given >= FIRST.clause else FIRST

    @property
    def waiting(self) -> int:
        """How many words wait for the rest of their piece."""
        return len(self._words)

    def feed(self, words: Iterable[SpokenWord]) -> list[Piece]:
        pieces = []
        for word in words:
            pieces += self._add(word)
        return pieces

    def take_now(self) -> list[Piece]:
        """Whatever there is: the listener would run dry. None or one piece."""
        return [self._cut(len(self._words), _ending(self._words[-1]) or "cut")] if self._words else []

    def end(self) -> list[Piece]:
        """No more words will come."""
        return [self._cut(len(self._words), "sentence")] if self._words else []

    def _add(self, word: SpokenWord) -> list[Piece]:
        pieces = []
        if word.pause == "line" and self._words:
            pieces.append(self._cut(len(self._words), "sentence"))
        elif word.pause == "clause" and len(self._words) >= self._limits.clause:
            pieces.append(self._cut(len(self._words), "clause"))
        elif self._limits is FIRST and len(self._words) >= FIRST.clause and self._joins_on(word):
            pieces.append(self._cut(len(self._words), "cut"))
        self._words.append(word)
        ending = _ending(word)
        if ending and self._may_end_at(word, ending):
            pieces.append(self._cut(len(self._words), ending))
        elif len(self._words) >= self._limits.most:
            pieces.append(self._cut(self._best_cut(), "cut"))
        return pieces

    def _joins_on(self, word: SpokenWord) -> bool:
        """The early piece need not wait for more: a new group of words begins with `word`."""
        return _ending(word) is None and _joins(
            [*(_bare(w.text) for w in self._words), _bare(word.text)], len(self._words)
        )

    def _may_end_at(self, word: SpokenWord, ending: Ending) -> bool:
        if ending == "clause":
            return len(self._words) >= self._limits.clause
        is_list_number = len(self._words) == 1 and word.text.rstrip(".)").isdigit()
        return not is_list_number

    def _cut(self, count: int, ending: Ending) -> Piece:
        piece = Piece(tuple(self._words[:count]), ending)
        del self._words[:count]
        self._given += count
        return piece

    def _best_cut(self) -> int:
        """Where a piece that is too long hurts least: before a joining word, else not after an article or a number."""
        texts = [_bare(word.text) for word in self._words]
        allowed = range(len(texts) - 1, self._limits.clause - 1, -1)
        joining = next((n for n in allowed if _joins(texts, n)), None)
        if joining is not None:
            return joining
        return next((n for n in (len(texts), *allowed) if _separable(texts, n)), len(texts))


def _ending(word: SpokenWord) -> Literal["sentence", "clause"] | None:
    text = word.text.rstrip(_CLOSING)
    if text.endswith(("!", "?", "…", "。", "！", "？", "...")):
        return "sentence"
    if text.endswith("."):
        return None if _ABBREVIATION.fullmatch(text.lstrip("(\"'“‘")) else "sentence"
    return "clause" if text.endswith((",", ";", ":", "—", "–", "、", "，")) else None


def _joins(texts: list[str], count: int) -> bool:
    return bool(_CUT_BEFORE.fullmatch(texts[count])) and not _NO_CUT_AFTER.fullmatch(texts[count - 1])


def _separable(texts: list[str], count: int) -> bool:
    """No number is torn ("five | million", "March | third"), and the piece does not end in an article."""
    left, right = texts[count - 1], texts[count] if count < len(texts) else ""
    if _NO_CUT_AFTER.fullmatch(left) or _NUMBER.search(right):
        return False
    return not _NUMBER.search(left) or bool(_NO_CUT_AFTER.fullmatch(right) or _CUT_BEFORE.fullmatch(right))


def _bare(text: str) -> str:
    return text.strip("\"'“”‘’()[],;:.!?").lower()
