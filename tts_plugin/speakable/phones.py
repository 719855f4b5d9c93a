"""Phone and card numbers: digits one by one, with a short breath between the groups."""

from __future__ import annotations

import re

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.window import Window

_ONE_RUN = re.compile(
    r"\+[0-9]{7,15}|(?:\+[0-9]{1,3}[-.])?\(?[0-9]{3}\)?[-.]?[0-9]{3}[-.][0-9]{4}|[0-9]{3}-[0-9]{4}"
    r"|1-[0-9]{3}-[0-9]{3}-[0-9]{4}|\+[0-9]{1,3}(?:[-.][0-9]{2,4}){2,5}|[0-9]{4}(?:-[0-9]{4}){3}|[0-9]{3}-[0-9]{2}-[0-9]{4}"
)
_START = re.compile(r"\+[0-9]{1,3}|\([0-9]{2,4}\)|[0-9]{1,5}")
_GROUP = re.compile(r"\(?[0-9]{1,8}\)?(?:[-/][0-9]{2,5})*([.,;:!?]*)")
_WHOLE = re.compile(
    r"\+[0-9]{1,3}(?: [0-9]{1,8}){1,6}|\([0-9]{2,4}\)(?: [0-9]{2,5}){1,4}|(?:1 )?[0-9]{3} [0-9]{3} [0-9]{4}"
    r"|[0-9]{4}(?: [0-9]{4}){3}|0[0-9](?: [0-9]{2}){4}|0[0-9]{2,4}(?: [0-9]{3,8}){1,3}"
)
_MOST_GROUPS = 7
_DIALLED = frozenset(("call", "dial", "text", "ring", "calling", "dialing", "dialling"))


def read_phone(window: Window, locale: Locale) -> Reading | None:
    token = window.token
    if not (token.core[:1].isdecimal() or token.core[:1] == "+") or len(token.whole) > 30:
        return None
    written = token.whole.rstrip(".,;:!?\"'…")
    if not written.startswith("(") and written.endswith(")") and "(" not in written:
        written = written[:-1]
    if written.startswith("(") and written.endswith(")") and not _START.fullmatch(written):
        written = written[1:-1]
    if _ONE_RUN.fullmatch(written) and sum(map(str.isdecimal, written)) >= 7:
        return _reading(_groups(locale, written), 1, token.trail)
    if len(written) == 3 and written.isdecimal() and window.before().lower() in _DIALLED and token.trail:
        return Reading(locale.numbers.digits(written))
    return _several_runs(window, locale, written) if _START.fullmatch(written) else None


def _several_runs(window: Window, locale: Locale, written: str) -> Reading | None:
    if window.token.trail not in ("", ")"):
        return None
    runs, last = 1, ""
    while runs < _MOST_GROUPS and (match := window.next_match(_GROUP, "(0123456789", runs)):
        written += " " + match.group().rstrip(".,;:!?")
        runs += 1
        last = match[1]
        if match[1]:
            break
    plain = written.replace("-", " ").replace("/", " ")
    if written.startswith("+"):
        plain = plain.replace("(", "").replace(")", "")
    if runs > 1 and _WHOLE.fullmatch(plain) and sum(map(str.isdecimal, plain)) >= 7:
        return _reading(_groups(locale, plain), runs, last)
    if runs == 1 and len(written) == 3 and written.isdecimal() and window.before().lower() in _DIALLED:
        return Reading(locale.numbers.digits(written))
    return None


def _reading(said: str, runs: int, trail: str) -> Reading:
    return Reading(said, runs, trail.replace(")", ""), "")


def _groups(locale: Locale, written: str) -> str:
    plus = f"{locale.numbers.plus} " if written.startswith("+") else ""
    groups = re.findall(r"[0-9]+", written)
    return plus + ", ".join("eight hundred" if _is_toll_free(locale, g) else locale.numbers.digits(g) for g in groups)


def _is_toll_free(locale: Locale, group: str) -> bool:
    return locale.language == "en" and group == "800"
