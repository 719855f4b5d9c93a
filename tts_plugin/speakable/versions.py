"""Versions and IP addresses: v1.2.3, 1.2.3-beta, Python 3.11, 192.168.0.1."""

from __future__ import annotations

import re

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.plain import plain
from tts_plugin.speakable.window import Window

_VERSION = re.compile(
    r"(v?)((?:(?<=v)[0-9]{1,3})|[0-9]{1,4}(?:\.[0-9]{1,4}){1,4})(?:-?([A-Za-z]{1,8})\.?([0-9]{0,3}))?"
)
_IP = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_NAMED = frozenset(
    "version versions release python ios android macos chrome firefox windows ubuntu node java django release php ruby"  # noqa: SIM905
    " kubernetes postgresql postgres cuda pytorch typescript".split()
)


def read_version(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if len(core) > 32 or not (match := _VERSION.fullmatch(core)):
        return None
    if "." in locale.numbers.groups and re.fullmatch(locale.numbers.pattern, core):
        return None
    if _IP.fullmatch(core):
        return Reading(plain(core, locale))
    is_version = match[1] or match[2].count(".") > 1 or window.before().lower() in _NAMED
    if not is_version or (match[3] and not match[1] and match[2].count(".") < 2):
        return None
    point = f" {locale.words['version point']} "
    said = point.join(locale.numbers.cardinal(part) for part in match[2].split("."))
    if match[1]:
        said = f"version {said}" if window.before().lower() != "version" else said
    if match[3]:
        said += f" {plain(match[3], locale)}"
    return Reading(f"{said} {locale.numbers.cardinal(match[4])}" if match[4] else said)
