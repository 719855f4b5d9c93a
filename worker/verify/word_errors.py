"""How many words of a text somebody heard wrong: the text and what was heard, made comparable, and the distance.

Pure. Case, punctuation, hyphens and the usual ways to write the same word do not count.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_SAME = {"ok": "okay", "mr": "mister", "mrs": "misses", "dr": "doctor", "&": "and", "%": "percent"}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_END_SLACK = 2  # words that may be heard twice or split in two near the end


class WordErrors(NamedTuple):
    """Substituted, left out and put in, of so many words."""

    errors: int
    words: int

    @property
    def rate(self) -> float:
        """0 is perfect; above 1 where more was put in than there was."""
        return self.errors / self.words if self.words else float(bool(self.errors))


def word_errors(said: str, heard: str) -> WordErrors:
    words = plain_words(said)
    return WordErrors(_distance(words, plain_words(heard)), len(words))


def plain_words(text: str) -> list[str]:
    """Lower case, no punctuation, no apostrophes, small numbers as words."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"['’`´]", "", text)
    found = re.findall(r"[^\W_]+|[&%]", text)
    return [_as_heard(word) for word in found]


def unheard_end(said: str, heard: str) -> int:
    """How many words at the end of the text were not heard near the end of what was heard."""
    words, ear = plain_words(said), plain_words(heard)
    for missing, word in enumerate(reversed(words)):
        if word in ear[-(missing + 1 + _END_SLACK) :]:
            return missing
    return len(words)


def _as_heard(word: str) -> str:
    if word.isdecimal() and int(word) < len(_NUMBERS):
        return _NUMBERS[int(word)]
    return _SAME.get(word, word)


def _distance(said: list[str], heard: list[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]
