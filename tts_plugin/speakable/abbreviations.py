"""Abbreviations: Dr., e.g., etc., No. 5, St., Inc., p.m.; and the numbers of a list."""

from __future__ import annotations

import re

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.times import dotless
from tts_plugin.speakable.window import Window

_BEFORE_A_NUMBER = {
    "no": "number",
    "nos": "numbers",
    "vol": "volume",
    "ch": "chapter",
    "fig": "figure",
    "sec": "section",
    "p": "page",
    "pp": "pages",
    "ext": "extension",
    "art": "article",
    "apt": "apartment",
}
_TITLES = {
    "dr": "Doctor",
    "mr": "Mister",
    "mrs": "Missus",
    "ms": "Miz",
    "prof": "Professor",
    "rev": "Reverend",
    "hon": "Honorable",
    "gov": "Governor",
    "sen": "Senator",
    "rep": "Representative",
    "gen": "General",
    "col": "Colonel",
    "sgt": "Sergeant",
    "capt": "Captain",
    "lt": "Lieutenant",
    "mt": "Mount",
}
_WITHOUT_DOT = frozenset(("Mr", "Mrs", "Dr", "Ms"))
_STREETS = {
    "st": "Street",
    "dr": "Drive",
    "ave": "Avenue",
    "blvd": "Boulevard",
    "rd": "Road",
    "ln": "Lane",
    "hwy": "Highway",
}
_LIST_NUMBER = re.compile(r"[0-9]{1,2}")
_MAY_END_A_SENTENCE = frozenset(
    ("etc", "inc", "ltd", "corp", "co", "dept", "jr", "ph.d", "max", "min", "usw", "u.a", "ud", "uds", "ee.uu")
)
_ROMAN = {"II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9", "XI": "11", "XII": "12"}
_NUMBERED = frozenset("war chapter part volume act phase book section type level article".split())  # noqa: SIM905


def read_list_number(window: Window, locale: Locale) -> Reading | None:
    """1. and 2) at the start of a line; "5." alone on its line is an answer."""
    token = window.token
    if not token.is_first_of_line or not _LIST_NUMBER.fullmatch(token.core) or token.trail not in (".", ")"):
        return None
    if not window.next_first():
        return None
    return Reading(locale.numbers.cardinal(token.core), 1, ",")


def read_abbreviation(window: Window, locale: Locale) -> Reading | None:
    core, trail = window.core, window.token.trail
    key = core.lower()
    if len(key) > 12:
        return None
    has_dot = trail.startswith(".")
    if said := locale.abbreviations.get(key + "." if has_dot else key):
        may_end = key in _MAY_END_A_SENTENCE or len(trail) > 1
        return Reading(said, 1, trail if not has_dot else dotless(window) if may_end else "")
    if locale.language != "en":
        return None
    if core in _ROMAN and window.before().lower() in _NUMBERED:
        return Reading(locale.numbers.cardinal(_ROMAN[core]))
    return _english(window, key, has_dot)


def _english(window: Window, key: str, has_dot: bool) -> Reading | None:
    core = window.core
    if has_dot and key in _BEFORE_A_NUMBER and window.token.trail == ".":
        if not window.next_first().isdecimal():
            return None
        said = _BEFORE_A_NUMBER[key]
        return Reading(said.capitalize() if core[0].isupper() else said, 1, "")
    if not core[:1].isupper() or not (has_dot or core in _WITHOUT_DOT):
        return None
    if key in _STREETS and (key not in ("st", "dr") or _is_street(window)):
        return Reading(_STREETS[key], 1, dotless(window) if has_dot else None)
    if key == "st":
        return Reading("Saint", 1, window.token.trail[1:])
    if key not in _TITLES or not window.next_first().isupper():
        return None
    return Reading(_TITLES[key], 1, window.token.trail[1:] if has_dot else None)


def _is_street(window: Window) -> bool:
    """123 Main St., and on Wall St. with nothing that could be a saint after it."""
    if any(window.before(n)[:1].isdecimal() for n in (2, 3)):
        return True
    is_named = window.before()[:1].isupper() and window.before(2) != ""
    return window.core == "St" and (is_named or not window.next_first().isupper())
