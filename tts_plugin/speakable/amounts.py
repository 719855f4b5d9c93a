"""Numbers and what is counted: 5, -5, 1,234.5, 5%, 5-10, 5km, 5 km, 1st, 1/2, 2½, 3x, 1e5, 10^6, 16:9, #1."""

from __future__ import annotations

import re
from functools import lru_cache

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.numbers import is_year
from tts_plugin.speakable.times import dotless
from tts_plugin.speakable.window import Vocabulary, Window

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
_RATIO = re.compile(r"([0-9]{1,4}):([1-9][0-9]{0,3})")
_POWER = re.compile(r"(-?[0-9]{1,9}(?:\.[0-9]+)?)(?:e([+-]?[0-9]{1,4})|\^([+-]?[0-9]{1,4}))", re.I)
_DIMENSIONS = re.compile(r"([0-9]{1,5}(?:\.[0-9]+)?)[x×]([0-9]{1,5}(?:\.[0-9]+)?)(?:[x×]([0-9]{1,5}))?")
_FEET = re.compile(r"([0-9]{1,3})'(?:([0-9]{1,2})\"?)?")
_JUDGED = frozenset(("a", "an", "is", "was", "rated", "scored", "got", "gave", "score", "rating"))
_PAIRS = frozenset(("24/7", "9/11", "50/50"))
_COMMON_UNDER = frozenset((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 32, 64, 100, 1000))
_DASHES = frozenset("-–—")
_AMBIGUOUS = frozenset(("in", "A", "a", "B", "K", "M", '"'))  # not units when they stand alone
_CODES = frozenset(("code", "pin", "zip", "postcode", "id", "otp", "passcode", "password", "extension", "confirmation"))
_JOINING = Vocabulary(("de", "y", "o", "a", "en", "und", "oder", "bis", "von", "ist", "es", "mal", "por"))
_STATE = re.compile(r"[A-Z]{2}")
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
    if len(core) > 40 or not any(map(str.isdecimal, core)):
        return None
    match = _patterns(locale)[0].fullmatch(core)
    if not match:
        return None
    low, high, unit = match["low"], match["high"], match["unit"]
    if core.isdecimal() and _is_code(window, locale):
        return Reading(locale.numbers.digits(core))
    if not high and not unit and not match["times"] and (reading := _mixed(window, locale, low)):
        return reading
    runs = 1
    if not high and not unit and not window.token.trail and (far := _spaced_range(window)):
        high, runs = far, 3
    is_counting = bool(unit or match["times"]) or (not high and _counts_a_noun(window, locale, low))
    said = _said(locale, low, is_counting)
    if high:
        said = f"{said} {locale.range_word} {_said(locale, high, bool(unit))}"
    if match["times"]:
        said += f" {locale.symbols['×']}"
    if unit:
        said += f" {_unit(locale, unit, high or low)}"
    said = "".join(f"{locale.symbols[match[key]]} " for key in ("about", "sign") if match[key]) + said
    return Reading(f"{said} {locale.numbers.plus}" if match["more"] else said, runs)


def _counts_a_noun(window: Window, locale: Locale, number: str) -> bool:
    """un kilómetro, ein Haus; but uno de mayo."""
    if not locale.numbers.one or not number.endswith("1") or window.token.trail or not number.isdecimal():
        return False
    return window.next_first().isalpha() and not window.next_word(_JOINING)


def _is_code(window: Window, locale: Locale) -> bool:
    """PIN 1234, code is 482913, CA 90210: every digit counts."""
    if locale.language != "en" or len(window.core) < 3:
        return False
    named = window.before(2) if window.before().lower() in ("is", "number", "code") else window.before()
    return named.lower() in _CODES or (len(window.core) == 5 and bool(_STATE.fullmatch(window.before())))


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
    dash = window.next_first()
    if dash not in _DASHES or len(window.core) > 9 or not window.core.isdecimal():
        return ""
    following = window.next_token()
    if following is None or following.core not in _DASHES or not window.next_first(2).isdecimal():
        return ""
    far = window.next_token(2)
    if far is None or far.lead or not (far.core.isdecimal() and far.core.isascii()) or len(far.core) > 9:
        return ""
    is_sum = dash == "-" and (int(far.core) <= int(window.core) or (not far.trail and window.next_first(3) == "="))
    return "" if is_sum else far.core


def _mixed(window: Window, locale: Locale, number: str) -> Reading | None:
    """2 1/2."""
    if locale.language != "en" or not number.isdecimal() or len(number) > 3 or window.token.trail:
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
    if unit not in locale.units or not (before[-1:].isdecimal() or before[-1:] in _VULGAR) or _is_ambiguous(window):
        return None
    return Reading(_unit(locale, unit, before), 1, dotless(window) if unit.isalpha() else None)


def _is_ambiguous(window: Window) -> bool:
    """5 in the morning, but 6 ft 2 in."""
    return window.core in _AMBIGUOUS and not (window.core == "in" and window.before(2) in ("ft", "feet", "foot"))


def read_fraction(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if core[-1:] in _VULGAR and (not core[:-1] or (core[:-1].isdecimal() and core[:-1].isascii())):
        core = f"{core[:-1]} {_VULGAR[core[-1]]}".strip()
    match = _FRACTION.fullmatch(core)
    if not match:
        return _rating(core, locale)
    if core in _PAIRS:
        return Reading(" ".join(map(locale.numbers.number, core.split("/"))))
    whole, over, under = match[1], int(match[2]), int(match[3])
    if under in (10, 100) and not whole and window.before().lower() in _JUDGED:
        return _rating(core, locale)
    said = fraction(locale, over, under)
    if not said:
        if not whole and locale.language == "en" and over <= 12 < under <= 31:
            return Reading(locale.date(locale, under, over, ""))
        return Reading(f"{locale.numbers.number(match[2])} {locale.words['over']} {locale.numbers.number(match[3])}")
    if not whole:
        return Reading(said)
    if locale.language == "en" and over == 1:
        said = said.replace("one ", "an " if under == 8 else "a ", 1)
    return Reading(f"{locale.numbers.number(whole)} {locale.words['and']} {said}")


def _rating(core: str, locale: Locale) -> Reading | None:
    """4.5/5, a 9/10."""
    low, slash, high = core.partition("/")
    number = locale.numbers.pattern
    if not slash or not re.fullmatch(number, low) or not re.fullmatch(number, high):
        return None
    return Reading(f"{locale.numbers.number(low)} {locale.words['out of']} {locale.numbers.number(high)}")


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
    if core == "-" and window.before()[-1:].isdecimal() and window.next_first().isdecimal():
        return Reading(minus)
    if (
        core in ("x", "*")
        and (window.before()[-1:].isdecimal() or len(window.before()) == 1)
        and window.next_first().isdecimal()
    ):
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
