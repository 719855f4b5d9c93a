"""Money: $5, €5, 5 €, EUR 5, $5.50, $5 million, $5-10, -$5, $20/month."""

from __future__ import annotations

import re
from functools import lru_cache

from tts_plugin.speakable.locale import Currency, Locale, Reading
from tts_plugin.speakable.window import Window


@lru_cache
def _patterns(locale: Locale) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    number = locale.numbers.pattern
    signs = "|".join(re.escape(key) for key in sorted(locale.currencies, key=len, reverse=True))
    scales = "|".join(sorted((k for k in locale.scales if len(k) <= 3), key=len, reverse=True))
    tail = rf"(?:\s?(?P<scale>{scales}))?(?:/(?P<per>[a-zé]+))?(?P<more>\+)?"
    before = (
        rf"(?P<minus>-)?(?P<sign>{signs})(?P<neg>-)?(?P<low>{number})(?:[-–—](?:{signs})?(?P<high>{number}))?{tail}"
    )
    amount = rf"(?P<minus>-)?(?P<low>{number})(?:[-–—](?P<high>{number}))?"
    after = rf"{amount}(?P<scale>{scales})?(?P<sign>{signs})(?:/(?P<per>[a-zé]+))?"
    return re.compile(before, re.I), re.compile(after, re.I), re.compile(amount)


def read_money(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    before, after, plain = _patterns(locale)
    if match := before.fullmatch(core) or after.fullmatch(core):
        return _with_scale(window, locale, match)
    if core.isdecimal() or core[-1:].isdecimal():
        if match := plain.fullmatch(core):
            return _number_then_currency(window, locale, match)
    elif not window.token.trail and locale.currency(core) and window.next_first().isdecimal():
        return _code_then_number(window, locale)
    return None


def _with_scale(window: Window, locale: Locale, match: re.Match[str]) -> Reading:
    groups = match.groupdict()
    currency = locale.currency(groups["sign"])
    assert currency is not None
    scale, runs = groups["scale"] or "", 1
    if not scale and not groups["per"] and (scale := window.next_word(locale.scale_words)):
        runs = 2
    said = _amount(locale, currency, groups["low"], groups["high"], scale.lower())
    if groups["minus"] or groups.get("neg"):
        said = f"{locale.numbers.minus} {said}"
    if groups.get("more"):
        said = f"{said} {locale.numbers.plus}"
    if per := groups["per"]:
        unit = locale.units.get(per.lower())
        said = f"{said} {locale.words['per']} {unit.one if unit else per}"
    return Reading(said, runs)


def _number_then_currency(window: Window, locale: Locale, match: re.Match[str]) -> Reading | None:
    """5 € and 5 million euros are one thing; whether they are is known from the next word."""
    scale = window.next_word(locale.scale_words)
    runs = 3 if scale else 2
    if scale and len(scale) <= 2:
        return None
    word = window.next_word(locale.currency_words, runs - 1)
    currency = locale.currency(word)
    if word and currency is None:
        scale = next(key for key in locale.scales if word.startswith(key) and locale.currency(word[len(key) :]))
        currency = locale.currency(word[len(scale) :])
    if currency is None:
        return _scale_alone(locale, match, scale) if scale else None
    said = _amount(locale, currency, match["low"], match["high"], scale)
    return Reading(f"{locale.numbers.minus} {said}" if match["minus"] else said, runs)


def _scale_alone(locale: Locale, match: re.Match[str], scale: str) -> Reading | None:
    """1 Million in German is eine Million."""
    if match["high"]:
        return None
    is_one, unit = match["low"] == "1", locale.scales[scale]
    said = _scaled(locale, match["low"], is_one, unit.one if is_one else unit.many)
    return Reading(f"{locale.numbers.minus} {said}" if match["minus"] else said, 2)


def _code_then_number(window: Window, locale: Locale) -> Reading | None:
    """EUR 5."""
    _, _, plain = _patterns(locale)
    following = window.next_token()
    currency = locale.currency(window.core)
    if following is None or currency is None or not (match := plain.fullmatch(following.core)):
        return None
    scale = window.next_word(locale.scale_words, 2)
    return Reading(_amount(locale, currency, match["low"], match["high"], scale), 3 if scale else 2)


def _amount(locale: Locale, currency: Currency, low: str, high: str | None, scale: str) -> str:
    numbers = locale.numbers
    if high:
        return f"{numbers.counting(low)} {locale.range_word} {_amount(locale, currency, high, None, scale)}"
    whole, fraction = numbers.split(low)
    if scale:
        unit = locale.scales[scale]
        is_one = whole == "1" and not fraction
        said = _scaled(locale, low, is_one, unit.one if is_one else unit.many)
        return f"{said} {_link(locale, currency.many) if unit.one != unit.many else currency.many}"
    if len(fraction) == 2 and currency.cent:
        return _with_cents(locale, currency, whole, fraction)
    if fraction:
        return f"{numbers.number(low)} {currency.many}"
    return _count(locale, whole, currency.one, currency.many, currency.feminine)


def _scaled(locale: Locale, number: str, is_one: bool, unit: str) -> str:
    if is_one and locale.language == "de" and unit[0].isupper():
        return f"eine {unit}"
    return f"{locale.numbers.counting(number)} {unit}"


def _link(locale: Locale, noun: str) -> str:
    if locale.scale_link == "de" and locale.language == "fr" and noun[0] in "aeiouy":
        return f"d'{noun}"
    return f"{locale.scale_link} {noun}".strip()


def _with_cents(locale: Locale, currency: Currency, whole: str, fraction: str) -> str:
    euros = _count(locale, whole, currency.one, currency.many, currency.feminine)
    if fraction == "00":
        return euros
    cents = _count(locale, fraction.lstrip("0"), currency.cent, currency.cents)
    return cents if whole.strip("0") == "" else f"{euros} {locale.money_link} {cents}".replace("  ", " ")


def _count(locale: Locale, digits: str, one: str, many: str, feminine: bool = False) -> str:
    said = locale.numbers.counting(digits)
    if feminine and said.endswith("un"):
        said += "e" if locale.language == "fr" else "a"
    if feminine and said.endswith("ún"):
        said = said[:-2] + "una"
    if digits == "1":
        return f"{said} {one}"
    is_round = len(digits) > 6 and digits.endswith("000000")
    return f"{said} {_link(locale, many) if is_round and locale.scale_link else many}"
