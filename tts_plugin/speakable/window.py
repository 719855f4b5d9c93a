"""What a reader sees: the run that it reads, the runs before it, and of those after it as much as has been written.

A reader that asks for what is not written yet is stopped by Undecided and asked again later. A question about a run
that is still growing is answered as soon as no way of going on could change the answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tts_plugin.speakable.spoken_word import Pause

_LEAD = re.compile(r"[\"'“‘«(¿¡*_~`\[\]{}|]*")
_TRAIL = "\"'”’»)]}.,;:!?…*_~`|"
_MARKUP = str.maketrans("", "", "*_~`[]{}|")
_NEVER_DECIDES = re.compile(r"[^!-~]|[&\[\]<\\*_~`{}|^]")  # cleaning may change such a run

_LONGEST_WORD_CHARS = 64  # of what a reader asks for


class Undecided(Exception):
    """The reader needs more text."""


@dataclass(frozen=True, slots=True)
class Token:
    """A cleaned run: `core` between the marks around it, of which `lead` and `trail` hold those that are heard."""

    lead: str
    core: str
    trail: str
    end: int = 0
    pause: Pause = "none"
    is_first_of_line: bool = False
    is_approximate: bool = False  # a tilde stands before it

    @classmethod
    def of(cls, text: str, end: int = 0, pause: Pause = "none", is_first_of_line: bool = False) -> Token:
        if text in ("*", "|"):
            return cls("", text, "", end, pause, is_first_of_line)
        lead_end = _LEAD.match(text).end()  # type: ignore[union-attr]
        lead, rest = text[:lead_end], text[lead_end:]
        core = rest.rstrip(_TRAIL)
        trail = rest[len(core) :]
        if "(" in core:
            trail = trail.replace(")", "", 1)
        approximate = lead.endswith("~") and not lead.endswith("~~")
        return cls(lead.translate(_MARKUP), core, trail.translate(_MARKUP), end, pause, is_first_of_line, approximate)

    @property
    def whole(self) -> str:
        return self.lead + self.core + self.trail


class Vocabulary:
    """Words in lower case, and every way in which one of them may begin."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = frozenset(words)
        spelled = {form for word in self.words for form in (word, unicodedata.normalize("NFD", word))}
        self.beginnings = frozenset(word[:n] for word in spelled for n in range(len(word) + 1))


class Window:
    """`tokens[0]` is to be read. `partial` is the raw run that may still grow; `is_over`: nothing follows the last
    token in this group."""

    def __init__(self, before: Sequence[Token], tokens: Sequence[Token], partial: str, is_over: bool) -> None:
        self._before = before
        self._tokens = tokens
        self._partial = partial
        self._is_over = is_over

    @property
    def token(self) -> Token:
        return self._tokens[0]

    @property
    def core(self) -> str:
        return self._tokens[0].core

    def joined(self, core: str, runs: int) -> Window:
        """The same, with the first `runs` tokens as one."""
        first, last = self._tokens[0], self._tokens[runs - 1]
        token = Token(first.lead, core, last.trail, last.end, first.pause, first.is_first_of_line, first.is_approximate)
        return Window(self._before, [token, *self._tokens[runs:]], self._partial, self._is_over)

    def before(self, n: int = 1) -> str:
        """The n-th core before this one within its sentence, or ""."""
        if n > len(self._before) or any(map(_ends_sentence, self._before[-n:])):
            return ""
        return self._before[-n].core

    @property
    def is_after_comma(self) -> bool:
        return bool(self._before) and self._before[-1].trail == ","

    def next_token(self, n: int = 1) -> Token | None:
        """The n-th token after this one; None when the group ends before it."""
        if n < len(self._tokens):
            return self._tokens[n]
        if self._is_over:
            return None
        raise Undecided

    def next_word(self, vocabulary: Vocabulary, n: int = 1) -> str:
        """The n-th core after this one in lower case, if it is in the vocabulary and no mark is between; else ""."""
        if self._tokens[min(n, len(self._tokens)) - 1].trail:
            return ""
        if n < len(self._tokens):
            token = self._tokens[n]
            core = token.core.lower()
            return core if core in vocabulary.words and not token.lead else ""
        if self._is_over:
            return ""
        self._more(n)
        partial = Token.of(self._partial[:_LONGEST_WORD_CHARS])
        if partial.lead or partial.core.lower() not in vocabulary.beginnings:
            return ""
        raise Undecided

    def next_first(self, n: int = 1) -> str:
        """The first character of the n-th run after this one, marks left out; "" when the group ends before it."""
        if n < len(self._tokens):
            return self._tokens[n].core[:1]
        if self._is_over:
            return ""
        self._more(n)
        first = Token.of(self._partial[:_LONGEST_WORD_CHARS]).core[:1]
        if not first:
            raise Undecided
        return first

    def next_match(self, pattern: re.Pattern[str], first: str, n: int = 1) -> re.Match[str] | None:
        """Matches the n-th run after this one, marks and all; every match begins with a character of `first`."""
        if n < len(self._tokens):
            return pattern.fullmatch(self._tokens[n].whole)
        if self._is_over:
            return None
        self._more(n)
        if self._partial[0] not in first:
            return None
        raise Undecided

    def _more(self, n: int) -> None:
        """Raises Undecided unless the n-th run is the growing one and shows what it will be."""
        if n > len(self._tokens) or not self._partial or _NEVER_DECIDES.search(self._partial[:_LONGEST_WORD_CHARS]):
            raise Undecided


def _ends_sentence(token: Token) -> bool:
    return any(mark in token.trail for mark in ".!?…;:")
