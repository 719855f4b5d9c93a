"""What differs between languages, as data; english.py, german.py, french.py and spanish.py fill it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from tts_plugin.speakable.numbers import Numbers
from tts_plugin.speakable.window import Vocabulary, Window


class Reading(NamedTuple):
    """What is said of the first `runs` runs. `trail` and `lead` replace the marks around them."""

    text: str
    runs: int = 1
    trail: str | None = None
    lead: str | None = None


class Currency(NamedTuple):
    one: str
    many: str
    cent: str = ""
    cents: str = ""
    feminine: bool = False


class Unit(NamedTuple):
    one: str
    many: str


@dataclass(frozen=True, eq=False)
class Locale:
    """Not slotted: it keeps what it has worked out. Every mapping has lower-case keys, `currencies` upper-case ones."""

    language: str
    numbers: Numbers
    symbols: Mapping[str, str]  # a sign, and the word for it
    words: Mapping[str, str]  # those that readers add: per, slash, dot
    months: tuple[str, ...]
    month_names: Mapping[str, int]  # names and abbreviations, without a full stop
    date_order: Literal["mdy", "dmy"]
    date: Callable[[Locale, int, int, str], str]  # (locale, day, month, year or "") -> words
    time: Callable[[Locale, str, str, str], str]  # (locale, hours, minutes, seconds or "") -> words
    currencies: Mapping[str, Currency]  # by sign and by code
    scales: Mapping[str, Unit]  # million, bn, k
    scale_link: str  # between "million" and a currency: d' in French
    units: Mapping[str, Unit]
    abbreviations: Mapping[str, str]  # without the last full stop
    range_word: str
    money_link: str  # between euros and cents
    half_marks: Mapping[str, str] = field(default_factory=dict)
    groups_by_space: bool = False
    readers: tuple[Callable[[Window, Locale], Reading | None], ...] = ()  # asked in order, before the plain reading

    @cached_property
    def currency_words(self) -> Vocabulary:
        """Signs and codes, also with a scale before them: M€."""
        scales = ("", *(scale for scale in self.scales if len(scale) <= 3))
        return Vocabulary(scale + key.lower() for key in self.currencies for scale in scales)

    @cached_property
    def scale_words(self) -> Vocabulary:
        return Vocabulary(self.scales)

    @cached_property
    def month_words(self) -> Vocabulary:
        return Vocabulary(self.month_names)

    def currency(self, key: str) -> Currency | None:
        return self.currencies.get(key.upper())
