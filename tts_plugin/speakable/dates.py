"""Dates and years: 2026-11-24, 11/24/2026, 24.11.2026, March 3, 3 March 2026, 3-5 March, 2020-24, 1990s, Nov."""

from __future__ import annotations

import re

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.numbers import is_year
from tts_plugin.speakable.plain import decade
from tts_plugin.speakable.window import Vocabulary, Window

_ISO = re.compile(
    r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})(?:T([0-9]{1,2}):([0-9]{2})(?::[0-9]{2})?(?:\.[0-9]+)?(Z|[+-][0-9:]{2,6})?)?"
)
_NUMERIC = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})")
_SHORT = re.compile(r"([0-9]{1,2})/([0-9]{1,2})")
_YEARS = re.compile(r"([0-9]{4})[-–—/]([0-9]{4}|[0-9]{2})")
_THOUSANDS = re.compile(r"([0-9]{1,3}(?:,000)+)s")
_DECADE = re.compile(r"([0-9]{4}|[0-9]0)'?s")
_DAY = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th|er|º|ª|ᵉʳ)?", re.I)
_DAYS = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)?[-–—]([0-9]{1,2})(?:st|nd|rd|th)?", re.I)
_DAY_NAMES = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_WEEKDAYS = re.compile(rf"({'|'.join(_DAY_NAMES)})[-–—]({'|'.join(_DAY_NAMES)})")
_OF = Vocabulary(("de",))
_BEFORE_A_DATE = frozenset(("on", "by", "until", "till", "since", "from", "before", "after", "dated"))


def read_date(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if not core[:1].isdecimal():
        return None
    if match := _ISO.fullmatch(core):
        return _iso(locale, match)
    if match := _NUMERIC.fullmatch(core):
        return _numeric(locale, match)
    if (match := _YEARS.fullmatch(core)) and is_year(match[1]):
        return _years(locale, match[1], match[2])
    if (match := _SHORT.fullmatch(core)) and locale.language == "en" and window.before().lower() in _BEFORE_A_DATE:
        month, day = int(match[1]), int(match[2])
        return Reading(locale.date(locale, day, month, "")) if _is_day(day, month) else None
    return _day_then_month(window, locale)


def read_decade(window: Window, locale: Locale) -> Reading | None:
    if match := _THOUSANDS.fullmatch(window.core):
        return Reading(locale.numbers.number(match[1]).removeprefix("one ") + "s")
    match = _DECADE.fullmatch(window.core)
    if not match or (len(match[1]) == 2 and not _is_decade(window)):
        return None
    return Reading(decade(locale, match[1]), lead=window.token.lead.replace("'", ""))


def _is_decade(window: Window) -> bool:
    return "'" in window.token.lead or window.before().lower() in ("the", "early", "mid", "late", "his", "her", "their")


def _iso(locale: Locale, match: re.Match[str]) -> Reading | None:
    year, month, day, hours, minutes, zone = match.groups()
    if not _is_day(int(day), int(month)):
        return None
    said = locale.date(locale, int(day), int(month), year)
    if hours:
        said += f" {locale.words['date and time']} {locale.time(locale, hours, minutes, '')}"
    return Reading(f"{said} UTC" if zone == "Z" else said)


def _numeric(locale: Locale, match: re.Match[str]) -> Reading | None:
    first, mark, second, year = int(match[1]), match[2], int(match[3]), match[4]
    if mark == "." and len(year) == 2 and locale.language == "en":
        return None  # a version
    day, month = (second, first) if locale.date_order == "mdy" and mark != "." else (first, second)
    if month > 12:
        day, month = month, day
    if not _is_day(day, month):
        return None
    century = "20" if year < "50" else "19"
    return Reading(locale.date(locale, day, month, year if len(year) == 4 else century + year))


def _years(locale: Locale, first: str, second: str) -> Reading | None:
    if len(second) == 2:
        if second <= first[2:]:
            return None
        second = first[:2] + second if locale.language != "en" else second
    said = locale.numbers.year(second) if len(second) == 4 else locale.numbers.cardinal(second)
    return Reading(f"{locale.numbers.year(first)} {locale.range_word} {said}")


def _day_then_month(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if match := _DAYS.fullmatch(core):
        first, second = match[1], match[2]
        if not (_is_day(int(first), 1) and _is_day(int(second), 1)):
            return None
    elif match := _DAY.fullmatch(core):
        first, second = match[1], ""
        if not _is_day(int(first), 1):
            return None
    else:
        return None
    if locale.language == "en":
        return _english_day(window, locale, first, second)
    return None if second else _other_day(window, locale, first)


def _english_day(window: Window, locale: Locale, first: str, second: str) -> Reading | None:
    ordinal = locale.numbers.ordinal
    days = f"{ordinal(first)} to {ordinal(second)}" if second else ordinal(first)
    if _is_month(window.before(), locale):
        return Reading(days)
    name = window.next_word(locale.month_words)
    following = window.next_token() if name else None
    if following is None or not following.core[0].isupper():
        return None
    article = "" if window.before().lower() == "the" else "the "
    trail = following.trail[1:] if following.trail.startswith(".") and name not in _months(locale) else None
    return Reading(f"{article}{days} of {locale.months[locale.month_names[name] - 1]}", 2, trail)


def _other_day(window: Window, locale: Locale, day: str) -> Reading | None:
    """In German the day has a full stop, in French the first of a month is an ordinal."""
    if locale.language == "de":
        return None
    name = window.next_word(locale.month_words)
    if locale.language == "es":
        is_first = day == "1" and window.next_word(_OF) and window.next_word(locale.month_words, 2)
        return Reading("primero") if is_first else None
    following = window.next_token() if name else None
    if following is None:
        return None
    said = locale.numbers.ordinal(day) if int(day) == 1 else locale.numbers.cardinal(day)
    trail = following.trail[1:] if following.trail.startswith(".") and name not in _months(locale) else None
    return Reading(f"{said} {locale.months[locale.month_names[name] - 1]}", 2, trail)


def read_month(window: Window, locale: Locale) -> Reading | None:
    """Nov. 24, Nov 24: the abbreviation is a month when a day or a year follows."""
    core, lower = window.core, window.core.lower()
    if lower not in locale.month_names or not core[:1].isupper() or lower in _months(locale):
        return None
    trail = window.token.trail
    if trail not in ("", ".") or not (window.next_first().isdecimal() or _is_day_before(window)):
        return None
    return Reading(locale.months[locale.month_names[lower] - 1], 1, "")


def read_weekdays(window: Window, locale: Locale) -> Reading | None:
    """Mon-Fri."""
    match = _WEEKDAYS.fullmatch(window.core)
    if not match:
        return None
    return Reading(f"{_DAY_NAMES[match[1]]} {locale.range_word} {_DAY_NAMES[match[2]]}")


def _is_day_before(window: Window) -> bool:
    return bool(_DAY.fullmatch(window.before()))


def _is_month(word: str, locale: Locale) -> bool:
    return word[:1].isupper() and word.lower() in locale.month_names


def _months(locale: Locale) -> tuple[str, ...]:
    return tuple(month.lower() for month in locale.months)


def _is_day(day: int, month: int) -> bool:
    return 1 <= day <= 31 and 1 <= month <= 12
