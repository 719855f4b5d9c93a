"""The reading of last resort: any run becomes words. Digits are read, signs are named, what has no sound is dropped."""

from __future__ import annotations

import re
from functools import lru_cache

from tts_plugin.speakable.locale import Locale
from tts_plugin.speakable.numbers import is_year
from tts_plugin.speakable.spoken_word import MAX_WORD_LETTERS

_LONG_CODE_DIGITS = 4
_LONG_RUN = re.compile(rf"\w{{{MAX_WORD_LETTERS}}}(?=\w)")
_PARTS = re.compile(r"[0-9]+(?:\.[0-9]+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[0-9]+|.", re.S)
_DASH_INSIDE = re.compile(r"(?<=[^\W\d_])(?:[—–]|--|\.{3}|…)(?=[^\W_])|[。！？](?=\w)|(?<=[a-z]{2})[.!?](?=[A-Z][a-z])")
_CAMEL = re.compile(r"[a-z]{2,20}(?:[A-Z][a-z0-9]{1,20}){1,6}")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SERIAL = re.compile(r"(?=[A-Z0-9]{5,20}$)(?:[A-Z]+[0-9]+){2,}[A-Z]*|[0-9]+[A-Z]+[0-9]+[A-Z0-9]*")
_JOINTS = frozenset("-_")
_SPELLED = re.compile(r"[A-Z]+|[0-9]+")
_A_NUMBER = re.compile(r"A[0-9]")
_DROPPED = frozenset("*`~|[]{}\\^_™®‰")
_ORDINAL_INSIDE = re.compile(r"\b([0-9]{1,6})(?:st|nd|rd|th)\b")
_DECADE_INSIDE = re.compile(r"\b([0-9]{4})s\b")
_CARET = re.compile(r"\^([-+]?[0-9]{1,4}|[a-z]\b)")
_POWERS = re.compile(r"[²³¹]")


@lru_cache
def _operators(locale: Locale) -> re.Pattern[str]:
    several = sorted((key for key in locale.symbols if len(key) > 1 and not key[0].isalnum()), key=len, reverse=True)
    return re.compile("|".join(re.escape(key) for key in several))


def plain(core: str, locale: Locale) -> str:
    """Words with white space between them; "" when nothing is heard."""
    core = _LONG_RUN.sub(r"\g<0> ", core)
    if core.isascii() and core.isalpha() and not _CAMEL.fullmatch(core):
        return core
    if _CAMEL.fullmatch(core):
        return plain(_HUMP.sub(" ", core), locale)
    if len(core) > 2 and not any(map(str.isalnum, core)):
        return ""  # a ruler
    if locale.language == "en":
        core = _ORDINAL_INSIDE.sub(lambda match: f" {locale.numbers.ordinal(match[1])} ", core)
        core = _DECADE_INSIDE.sub(lambda match: f" {decade(locale, match[1])} ", core)
    if _SERIAL.fullmatch(core):
        return " ".join(part if part.isalpha() else locale.numbers.digits(part) for part in _SPELLED.findall(core))
    core = _DASH_INSIDE.sub(lambda match: match.group() + " ", core)
    core = _CARET.sub(lambda match: _raised(match[1], locale), core)
    core = _POWERS.sub(lambda match: f" {locale.symbols.get(match.group(), '')} ", core)
    core = _operators(locale).sub(lambda match: f" {locale.symbols[match.group()]} ", core)
    parts = [match.group() for match in _PARTS.finditer(core)]
    said = [
        _part(part, parts[n - 1] if n else "", parts[n + 1] if n + 1 < len(parts) else "", locale)
        for n, part in enumerate(parts)
    ]
    text = " ".join("".join(said).split())
    return text.replace("A ", "A-", 1) if _A_NUMBER.match(core) else text  # A alone sounds like the article


def _raised(power: str, locale: Locale) -> str:
    return {"2": "²", "3": "³"}.get(power, f" {locale.words['power']} {power.lstrip('+')}")


def decade(locale: Locale, digits: str) -> str:
    """1990s in English."""
    said = locale.numbers.year(digits)
    return said[:-1] + "ies" if said.endswith("y") else f"{said}s"


def _part(part: str, before: str, after: str, locale: Locale) -> str:
    if part[0].isascii() and part[0].isdecimal():
        return _digits(part, before, after, locale)
    if part == "*" and before[-1:].isdecimal() and after[:1].isdecimal():
        return f" {locale.symbols['×']} "
    if part in ("(", ")"):
        return " "
    if part in _DROPPED:
        return " " if part == "_" or (part in "|^" and after) else ""
    if part == "-":
        return _hyphen(before, after, locale)
    if part == "/":
        return f" {locale.words['slash']} " if before[-1:].isalnum() and after[:1].isalnum() else " "
    if part in (".", ","):
        return f" {locale.words['dot']} " if part == "." and after[:1].isalnum() and before[-1:].isdecimal() else part
    return f" {locale.symbols[part]} " if part in locale.symbols else _currency(part, locale)


def _currency(part: str, locale: Locale) -> str:
    found = locale.currencies.get(part)
    return f" {found.one} " if found else part


def _hyphen(before: str, after: str, locale: Locale) -> str:
    if after[:1].isdecimal():
        if before[-1:].isdecimal():
            return f" {locale.range_word} "
        return " " if before[-1:].isalnum() else f" {locale.numbers.minus} "
    return "-" if before[-1:].isalpha() and after[:1].isalpha() else " "


def _digits(part: str, before: str, after: str, locale: Locale) -> str:
    numbers = locale.numbers
    groups = part.split(".")
    if len(groups) == 2 and not before[-1:].isalpha():
        said = f"{numbers.cardinal(groups[0])} {numbers.point} {numbers.digits(groups[1])}"
    elif len(groups) > 1:
        is_address = len(groups) == 4 and all(len(group) <= 3 for group in groups)
        said = f" {locale.words['dot'] if is_address else locale.words['version point']} ".join(
            numbers.digits(group) if is_address else numbers.cardinal(group) for group in groups
        )
    elif len(part) >= _LONG_CODE_DIGITS and not is_year(part) and (before[-1:] in _JOINTS or before[-1:].isalpha()):
        said = numbers.digits(part)
    else:
        said = numbers.year(part) if is_year(part) else numbers.cardinal(part)
    return f" {said} "
