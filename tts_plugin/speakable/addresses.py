"""E-mail and web addresses, file names, handles and hashtags: spelled as one says them."""

from __future__ import annotations

import re

from tts_plugin.speakable.locale import Locale, Reading
from tts_plugin.speakable.plain import plain
from tts_plugin.speakable.window import Window

_EMAIL = re.compile(r"(?:mailto:)?([\w.+%-]{1,64})@([\w-]{1,63}(?:\.[\w-]{1,63}){1,6})", re.I)
_URL = re.compile(r"(?:(?:https?|ftp|wss?)://)(?:www\.)?([^/?#\s]{1,200})([/?#].*)?", re.I)
_WWW = re.compile(r"www\.([^/?#\s]{1,200})([/?#].*)?", re.I)
_BARE = re.compile(r"([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,5}\.([a-z]{2,10}))((?:/.*)?)", re.I)
_TOP_LEVEL = frozenset("com org net edu gov io ai dev app co uk de fr es eu info ca au jp ch nl tech cloud".split())  # noqa: SIM905
_EXTENSIONS = frozenset(
    "py js ts md txt json yaml yml toml csv pdf html css exe zip png jpg jpeg gif mp3 mp4 wav doc docx xls xlsx sh cpp"  # noqa: SIM905
    " rs go java xml sql log cfg ini env lock".split()
)
_SAID_AS_WORDS = frozenset("com org net gov info dev app yaml json toml tech cloud lock log env java go zip".split())  # noqa: SIM905
_HANDLE = re.compile(r"@([A-Za-z_][\w.]{0,40})")
_HASHTAG = re.compile(r"#([^\W\d][\w-]{0,60})")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD_PATH = re.compile(r"/([A-Za-z]{2,20}(?:[-_][A-Za-z]{2,20}){0,3})/?")
_MARKS = {".": "dot", "-": "dash", "_": "underscore"}


def read_address(window: Window, locale: Locale) -> Reading | None:
    core = window.core
    if "@" in core and (reading := _email(core, locale)):
        return reading
    if match := (_URL.fullmatch(core) or _WWW.fullmatch(core)):
        return Reading(_host(match[1], match[2] or "", locale))
    if "." in core and (match := _BARE.fullmatch(core)):
        return _bare(match, locale)
    if match := _HANDLE.fullmatch(core):
        return Reading(f"{locale.symbols['@']} {_spelled(match[1], locale)}")
    if match := _HASHTAG.fullmatch(core):
        return Reading("hashtag " + plain(_HUMP.sub(" ", match[1].replace("_", " ")), locale))
    return None


def _email(core: str, locale: Locale) -> Reading | None:
    match = _EMAIL.fullmatch(core)
    if not match:
        return None
    return Reading(f"{_spelled(match[1], locale)} {locale.symbols['@']} {_spelled(match[2], locale)}")


def _bare(match: re.Match[str], locale: Locale) -> Reading | None:
    last = match[2].lower()
    if last in _TOP_LEVEL and not match[1][0].isdecimal() and (match[2].islower() or match[1].isupper()):
        return Reading(_host(match[1], match[3], locale))
    if last in _EXTENSIONS and not match[3]:
        return Reading(_spelled(match[1], locale))
    return None


def _host(host: str, path: str, locale: Locale) -> str:
    """Of a path only what is a word is said: nobody notes down the rest by ear."""
    said = _spelled(host.partition("@")[2] or host.partition(":")[0], locale)
    match = _WORD_PATH.fullmatch(path)
    return f"{said} {locale.words['slash']} {_spelled(match[1], locale)}" if match else said


def _spelled(name: str, locale: Locale) -> str:
    parts = re.split(r"([.\-_+%])", name)
    return " ".join(part for n, text in enumerate(parts) if text for part in [_part(text, n == len(parts) - 1, locale)])


def _part(text: str, is_last: bool, locale: Locale) -> str:
    if text in _MARKS:
        return locale.words[_MARKS[text]]
    if text in locale.symbols:
        return locale.symbols[text]
    lower = text.lower()
    if text.isalpha() and len(text) == 1:
        return text.upper()
    if text.isupper() and len(text) > 4:
        return plain(lower, locale)  # README
    if is_last and lower not in _SAID_AS_WORDS and (lower in _TOP_LEVEL or lower in _EXTENSIONS) and len(text) <= 4:
        return text.upper()
    return plain(lower if lower in _SAID_AS_WORDS else text, locale)
