"""Takes away what is written for eyes only: entities, link targets, emoji, control and bidi characters, drawn letters.

One run at a time; tags are already gone. Knows no language.
"""

from __future__ import annotations

import html
import re
import unicodedata

_LINK_TARGET = re.compile(r"\]\([^()\s]*\)")
_AUTOLINK = re.compile(r"<([^<>\s]{3,200})>")
_BACKSLASH = re.compile(r"\\(\w)")
_ENTITY = re.compile(r"&#?\w{2,10};")
_FACES = frozenset((":d", ":p", ";p", ";d", "xd", ":o", ":3", ":-d", ":-p", ":'d", "=d", "d:"))
_HEARD_SYMBOLS = frozenset("×÷±−≈≤≥≠→⇒∞√π°℃℉©®™§¶№µΩ½¼¾⅓⅔⅛⅜⅝⅞⅕⅖⅗⅘⅙⅚²³¹‰…‑")
_SAME = {"’": "'", "‘": "'", "−": "-", "‑": "-", "℃": "°C", "℉": "°F", "µ": "μ", "‐": "-", "″": '"', "′": "'"}


def clean(raw: str, is_first_of_line: bool) -> str:
    """The run as it is read; "" when nothing of it is heard, not even as a pause."""
    if raw.isascii() and raw.isalpha():
        return raw
    if is_first_of_line and (raw.startswith(("```", "~~~")) or not raw.strip(">#")):
        return ""
    if raw.lower() in _FACES:
        return ""
    if _ENTITY.search(raw):
        raw = html.unescape(raw)
    if "\\" in raw:
        raw = _BACKSLASH.sub(r" \1", raw).replace("\\", "").strip()
    if "<" in raw and ("://" in raw or "@" in raw):
        raw = _AUTOLINK.sub(r"\1", raw)
    if raw.startswith("!["):
        raw = raw[1:]
    if "](" in raw:
        raw = _LINK_TARGET.sub("", raw).lstrip("![")
    text = unicodedata.normalize("NFC", "".join(map(_character, raw)))
    return " ".join(text.split()) if " " in text else text


def _character(char: str) -> str:
    if char.isascii():
        return char if char.isprintable() else ""
    if char in _SAME:
        return _SAME[char]
    if char in _HEARD_SYMBOLS or unicodedata.category(char) == "Sc":
        return char
    if 0x1D400 <= ord(char) <= 0x1D7FF or 0xFF01 <= ord(char) <= 0xFF5E:  # letters drawn as symbols, full width
        return unicodedata.normalize("NFKC", char)
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    return "" if category[0] in "CZ" or category in ("So", "Sk", "Sm", "Me") or 0xFE00 <= ord(char) <= 0xFE0F else char
