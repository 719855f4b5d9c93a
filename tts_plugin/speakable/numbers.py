"""Numbers as words: cardinals, ordinals, years, digits one by one, decimals.

num2words does the counting. It takes 0.2 s to import, so that happens at the first number, or in `prepare`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_MOST_DIGITS = 15  # a longer number is a code: it is read digit by digit


def prepare(language: str) -> None:
    """Loads what the first number would load."""
    _words(language, 1, "cardinal")


@dataclass(frozen=True, slots=True)
class Numbers:
    """How one language counts. `one` is what "1" becomes before a thing that is counted: ein Euro, un euro."""

    language: str
    decimal: str
    groups: str  # characters that may stand between groups of three digits
    point: str
    minus: str
    plus: str
    one: tuple[tuple[str, str], ...] = ()  # endings of a cardinal, and what they become before a noun
    years_by_hundreds: bool = False

    @property
    def pattern(self) -> str:
        """Matches an unsigned number, with groups and decimals."""
        groups, decimal = re.escape(self.groups), re.escape(self.decimal)
        return rf"(?:[0-9]{{1,3}}(?:[{groups}][0-9]{{3}})+|[0-9]+)(?:{decimal}[0-9]+)?"

    def split(self, number: str) -> tuple[str, str]:
        """Digits before and after the decimal mark, of what `pattern` matches."""
        whole, _, fraction = number.partition(self.decimal)
        return whole.translate({ord(char): None for char in self.groups}), fraction

    def number(self, number: str) -> str:
        whole, fraction = self.split(number)
        said = self.cardinal(whole)
        return f"{said} {self.point} {self.digits(fraction)}" if fraction else said

    def cardinal(self, digits: str) -> str:
        if len(digits) > _MOST_DIGITS or (len(digits) > 1 and digits[0] == "0"):
            return self.digits(digits)
        return _words(self.language, int(digits), "cardinal")

    def counting(self, number: str) -> str:
        """The number before a noun."""
        said = self.number(number)
        for ending, form in self.one:
            if said == ending or said.endswith(ending):
                return said[: -len(ending)] + form
        return said

    def ordinal(self, digits: str) -> str:
        return _words(self.language, int(digits), "ordinal") if len(digits) <= _MOST_DIGITS else self.digits(digits)

    def year(self, digits: str) -> str:
        if not (self.years_by_hundreds and is_year(digits)):
            return self.cardinal(digits)
        if digits.startswith("200"):
            return self.cardinal(digits)
        return _words(self.language, int(digits), "year").replace("oh-", "oh ")

    def digits(self, digits: str) -> str:
        return " ".join(_words(self.language, int(digit), "cardinal") for digit in digits)


def is_year(digits: str) -> bool:
    return len(digits) == 4 and digits.isdecimal() and "1100" <= digits <= "2099"


@lru_cache(maxsize=4096)
def _words(language: str, value: int, form: str) -> str:
    from num2words import num2words

    said: str = num2words(value, lang=language, to=form)
    if language == "en":
        said = said.replace(",", "").replace(" and ", " ")
    return said
