"""Numbers and what is counted: 5, -5, 1,234.5, 5%, 5-10, 5km, 5 km, 1st, 1/2, 2½, 3x, 1e5, 10^6, 16:9, #1."""

from __future__ import annotations

import re
from functools import lru_cache

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.numbers import is_year
from tts_plugin.speakable.times import dotless
from tts_plugin.speakable.window import Window

_VULGAR = {
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
    "⅛": "1/8",
    "⅜": "3/8",
    "⅝": "5/8",
    "⅞": "7/8",
    "⅕": "1/5",
    "⅖": "2/5",
    "⅗": "3/5",
    "⅘": "4/5",
    "⅙": "1/6",
    "⅚": "5/6",
}
_FRACTION = re.compile(r"(?:([0-9]{1,6})[-+ ])?([0-9]{1,3})/([0-9]{1,4})")
_NEXT_FRACTION = re.compile(r"([0-9]{1,2})/([0-9]{1,2})([.,;:!?)]*)")
_ORDINAL = re.compile(r"([0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3})+)(st|nd|rd|th)", re.I)
_RATIO = re.compile(r"([0-9]{1,4}):([0-9]{1,4})")
_POWER = re.compile(r"(-?[0-9]{1,9}(?:\.[0-9]+)?)(?:e([+-]?[0-9]{1,4})|\^([+-]?[0-9]{1,4}))", re.I)
_DIMENSIONS = re.compile(r"([0-9]{1,5}(?:\.[0-9]+)?)[x×]([0-9]{1,5}(?:\.[0-9]+)?)(?:[x×]([0-9]{1,5}))?")
_FEET = re.compile(r"([0-9]{1,3})'(?:([0-9]{1,2})\"?)?")
_COMMON_UNDER = frozenset((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 32, 64, 100, 1000))
_DASHES = frozenset("–—")
_NUMBER_SIGN = re.compile(r"#([0-9]{1,12})")


@lru_cache
def _patterns(locale: Locale) -> tuple[re.Pattern[str], re.Pattern[str]]:
    number = locale.numbers.pattern
    units = "|".join(re.escape(unit) for unit in sorted(locale.units, key=len, reverse=True))
    sign = r"(?P<sign>[-+±])?(?P<about>[<>≤≥≈])?"
    tail = rf"(?P<times>x)?(?P<unit>{units})?(?P<more>\+)?"
    return (
        re.compile(
            rf"(?P<about>[<>≤≥≈])?(?P<sign>[-+±])?(?P<low>{number}|{re.escape(locale.numbers.decimal)}[0-9]+)(?:%?[-–—](?P<high>{number}))?{tail}"
        ),
        re.compile(rf"{sign}(?P<low>{number})"),
    )


def read_amount(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if len(core) > 40 or not any(map(str.isdigit, core)):
        return None
    match = _patterns(locale)[0].fullmatch(core)
    if not match:
        return None
    low, high, unit = match["low"], match["high"], match["unit"]
    if not high and not unit and not match["times"] and (reading := _mixed(window, locale, low)):
        return reading
    runs = 1
    if not high and not unit and not window.token.trail and (far := _spaced_range(window)):
        high, runs = far, 3
    said = _said(locale, low, bool(unit or match["times"]))
    if high:
        said = f"{said} {locale.range_word} {_said(locale, high, bool(unit))}"
    if match["times"]:
        said += f" {locale.symbols['×']}"
    if unit:
        said += f" {_unit(locale, unit, high or low)}"
    said = "".join(f"{locale.symbols[match[key]]} " for key in ("about", "sign") if match[key]) + said
    return Reading(f"{said} {locale.numbers.plus}" if match["more"] else said, runs)


def _said(locale: Locale, number: str, is_counting: bool) -> str:
    numbers = locale.numbers
    if number.startswith(numbers.decimal):
        return f"{numbers.point} {numbers.digits(number[1:])}"
    if is_year(number) and numbers.years_by_hundreds and not is_counting:
        return numbers.year(number)
    return numbers.counting(number) if is_counting else numbers.number(number)


def _unit(locale: Locale, unit: str, number: str) -> str:
    found = locale.units[unit]
    return found.one if number == "1" else found.many


def _spaced_range(window: Window) -> str:
    """5 – 10, written with white space."""
    if window.next_first() not in _DASHES or len(window.core) > 9:
        return ""
    dash = window.next_token()
    if dash is None or dash.core not in _DASHES or not window.next_first(2).isdigit():
        return ""
    far = window.next_token(2)
    return far.core if far and not far.lead and far.core.isdigit() and far.core.isascii() else ""


def _mixed(window: Window, locale: Locale, number: str) -> Reading | None:
    """2 1/2."""
    if locale.language != "en" or not number.isdigit() or len(number) > 3 or window.token.trail:
        return None
    match = window.next_match(_NEXT_FRACTION, "0123456789")
    said = fraction(locale, int(match[1]), int(match[2])) if match else ""
    if not match or not said or int(match[1]) >= int(match[2]):
        return None
    said = said.replace("one ", "a ", 1) if match[1] == "1" and match[2] != "8" else said
    return Reading(f"{locale.numbers.number(number)} and {said}", 2)


def read_unit(window: Window, locale: Locale) -> Reading | None:
    """km after a number."""
    unit = window.core
    before = window.before()
    if (
        unit not in locale.units
        or not (before[-1:].isdigit() or before[-1:] in _VULGAR)
        or unit in ("in", "A", "a", '"')
    ):
        return None
    return Reading(_unit(locale, unit, before), 1, dotless(window) if unit.isalpha() else None)


def read_fraction(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if core[-1:] in _VULGAR and (not core[:-1] or (core[:-1].isdigit() and core[:-1].isascii())):
        core = f"{core[:-1]} {_VULGAR[core[-1]]}".strip()
    match = _FRACTION.fullmatch(core)
    if not match:
        return None
    if core == "24/7" and locale.language == "en":
        return Reading("twenty-four seven")
    whole, over, under = match[1], int(match[2]), int(match[3])
    said = fraction(locale, over, under)
    if not said:
        return Reading(f"{locale.numbers.number(match[2])} {locale.words['over']} {locale.numbers.number(match[3])}")
    if not whole:
        return Reading(said)
    if locale.language == "en" and over == 1:
        said = said.replace("one ", "an " if under == 8 else "a ", 1)
    return Reading(f"{locale.numbers.number(whole)} {locale.words['and']} {said}")


def fraction(locale: Locale, over: int, under: int) -> str:
    if under not in _COMMON_UNDER or over >= under or over == 0:
        return ""
    named = locale.half_marks.get(f"{over}/{under}")
    if named:
        return named
    if locale.language != "en":
        return ""
    part = {2: "half", 4: "quarter"}.get(under) or locale.numbers.ordinal(str(under))
    part = part.replace("one ", "") if under >= 100 else part
    return f"{locale.numbers.cardinal(str(over))} {part}{'' if over == 1 else 's'}"


def read_ordinal(window: Window, locale: Locale) -> Reading | None:
    match = _ORDINAL.fullmatch(window.core)
    return Reading(locale.numbers.ordinal(match[1].replace(",", ""))) if match else None


def read_maths(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    number, minus = locale.numbers.number, locale.numbers.minus
    if match := _NUMBER_SIGN.fullmatch(core):
        said = number(match[1]) if len(match[1]) < 5 else locale.numbers.digits(match[1])
        return Reading(f"number {said}")
    if core in ("x", "*") and window.before()[-1:].isdigit() and window.next_first().isdigit():
        return Reading(locale.symbols["×"])
    if match := _DIMENSIONS.fullmatch(core):
        return Reading(" by ".join(_said(locale, size, False) for size in match.groups() if size))
    if match := _RATIO.fullmatch(core):
        return Reading(f"{number(match[1])} to {number(match[2])}")
    if match := _POWER.fullmatch(core):
        power = match[2] or match[3]
        power = f"{minus} {number(power[1:])}" if power[0] == "-" else number(power.lstrip("+"))
        base = match[1]
        base = f"{minus} {number(base[1:])}" if base[0] == "-" else number(base)
        return Reading(f"{base} times ten to the {power}" if match[2] else f"{base} to the power of {power}")
    if (match := _FEET.fullmatch(core)) and (match[2] or window.token.trail[:1] != "'"):
        feet = f"{number(match[1])} {'foot' if match[1] == '1' else 'feet'}"
        return Reading(f"{feet} {number(match[2])}" if match[2] else feet, 1, window.token.trail.lstrip('"'))
    return None
