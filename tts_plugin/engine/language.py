"""In which language an utterance is read: the one asked for, or the voice's own. What cannot be done is refused."""

from __future__ import annotations

from tts_plugin.engine.backend import Refused, Voice
from tts_plugin.text import LANGUAGES, UnknownLanguage, find_locale


def spoken_language(language: str | None, voice: Voice) -> str:
    """One of LANGUAGES. Without a language, the voice's own; English where text.py cannot read that one.

    Raises Refused (bad_message) for a language that text.py cannot read or the voice does not speak.
    """
    if language is None:
        return voice.language if voice.language in LANGUAGES else LANGUAGES[0]
    try:
        found = find_locale(language).language
    except UnknownLanguage as unknown:
        raise Refused("bad_message", str(unknown)) from None
    if found != voice.language:
        raise Refused("bad_message", f"language is {language!r:.40}, but the voice {voice.id} speaks {voice.language}")
    return found
