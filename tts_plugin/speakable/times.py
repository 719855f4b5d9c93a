"""Times of day: 5:30, 5:00 pm, 5pm, 17:45, 10:30:15, 9am-5pm, 9:00-17:00, 17:30 Uhr, 17h30."""

from __future__ import annotations

import re

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.window import Vocabulary, Window

_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:([ap])\.?m)?", re.I)
_HOUR = re.compile(r"([0-9]{1,2})([ap])\.?m", re.I)
_HALF_DAY = Vocabulary(("am", "pm", "a.m", "p.m"))
_FRENCH = re.compile(r"([0-9]{1,2})h([0-9]{2})?")
_RANGE = re.compile(
    r"(?P<low>[0-9]{1,2}(?::[0-9]{2})?(?:[ap]\.?m)?\.?)[-–—](?P<high>[0-9]{1,2}(?::[0-9]{2})?(?:[ap]\.?m)?)", re.I
)
_UHR = Vocabulary(("uhr",))


def read_time(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if not core[:1].isdecimal() or len(core) > 24:
        return None
    if locale.language == "fr" and (match := _FRENCH.fullmatch(core)) and _is_time(match[1], match[2] or "00"):
        return Reading(locale.time(locale, match[1], match[2] or "00", ""))
    if match := _CLOCK.fullmatch(core):
        return _clock(window, locale, match)
    if locale.language == "en":
        if (match := _HOUR.fullmatch(core)) and _is_time(match[1], "00"):
            return Reading(f"{locale.numbers.cardinal(match[1])} {match[2].upper()}M", 1, dotless(window))
        if (match := _RANGE.fullmatch(core)) and (":" in core or "m" in core.lower()):
            return _range(window, locale, match)
    if locale.language == "de" and core.isdecimal() and _is_time(core, "00") and window.next_word(_UHR):
        return Reading(f"{locale.numbers.counting(core)} Uhr", 2)
    return None


def read_half_day(window: Window, locale: Locale) -> Reading | None:
    """pm, p.m. after a number."""
    if window.core.lower() not in _HALF_DAY.words:
        return None
    is_time = window.before()[-1:].isdecimal() or "." in window.core
    return Reading(f"{window.core[0].upper()}M", 1, dotless(window)) if is_time else None


def dotless(window: Window) -> str:
    """The marks after an abbreviation: its full stop stays only where the sentence ends too."""
    trail = window.token.trail
    if not trail.startswith("."):
        return trail
    if trail != ".":
        return trail[1:]
    following = window.next_first()
    return "." if not following or following.isupper() else ""


def _clock(window: Window, locale: Locale, match: re.Match[str]) -> Reading | None:
    hours, minutes, seconds, half = match.groups()
    if not _is_time(hours, minutes) or (seconds and seconds > "59"):
        return None
    if locale.language == "de":
        return Reading(locale.time(locale, hours, minutes, seconds or ""), 2 if window.next_word(_UHR) else 1)
    if locale.language != "en":
        return Reading(locale.time(locale, hours, minutes, seconds or ""))
    if half:
        said = locale.numbers.cardinal(hours) if minutes == "00" else locale.time(locale, hours, minutes, "")
        return Reading(f"{said} {half.upper()}M", 1, dotless(window))
    if minutes == "00" and not seconds and window.next_word(_HALF_DAY):
        return Reading(locale.numbers.cardinal(hours))
    return Reading(locale.time(locale, hours, minutes, seconds or ""))


def _range(window: Window, locale: Locale, match: re.Match[str]) -> Reading | None:
    said = []
    for part in (match["low"].rstrip("."), match["high"]):
        clock, hour = _CLOCK.fullmatch(part), _HOUR.fullmatch(part)
        hours = clock[1] if clock else hour[1] if hour else part
        minutes = clock[2] if clock else "00"
        half = clock[4] if clock else hour[2] if hour else None
        if not _is_time(hours, minutes):
            return None
        number = locale.numbers.cardinal(hours.lstrip("0") or "0")
        if minutes != "00":
            number = locale.time(locale, hours, minutes, "")
        said.append(f"{number} {half.upper()}M" if half else number)
    return Reading(" to ".join(said), 1, dotless(window))


def _is_time(hours: str, minutes: str) -> bool:
    return int(hours) <= 24 and minutes <= "59"
