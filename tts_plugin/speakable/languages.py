"""Which languages are read, and under which names: "en", "en-US" and "EN_us" are English."""

from __future__ import annotations

from tts_plugin.speakable.english import ENGLISH
from tts_plugin.speakable.french import FRENCH
from tts_plugin.speakable.german import GERMAN
from tts_plugin.speakable.locale import Locale
from tts_plugin.speakable.spanish import SPANISH

_LOCALES = {locale.language: locale for locale in (ENGLISH, GERMAN, FRENCH, SPANISH)}
LANGUAGES = tuple(_LOCALES)


class UnknownLanguage(ValueError):
    """Names what was given and what is allowed."""


def find_locale(language: str | None) -> Locale:
    """None is English. Raises UnknownLanguage."""
    if language is None:
        return ENGLISH
    found = _LOCALES.get(language.strip().lower().replace("_", "-").partition("-")[0])
    if found is None:
        raise UnknownLanguage(f"language is {language!r:.40}; allowed: {', '.join(LANGUAGES)}, each also with a region")
    return found
