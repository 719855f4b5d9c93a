"""The one place that makes text speakable, for every back-end: raw deltas in, words with their place in the source out.

Numbers, money, dates, abbreviations, addresses and signs become words; markdown, emoji, control characters and tags
vanish. docs/speakable.md says what is spoken how; the package `speakable` does it.
"""

from tts_plugin.speakable.languages import LANGUAGES, UnknownLanguage, find_locale
from tts_plugin.speakable.normaliser import Normaliser
from tts_plugin.speakable.numbers import prepare
from tts_plugin.speakable.spoken_word import MAX_WORD_LETTERS, Pause, SpokenWord

__all__ = [
    "LANGUAGES",
    "MAX_WORD_LETTERS",
    "Normaliser",
    "Pause",
    "SpokenWord",
    "UnknownLanguage",
    "find_locale",
    "prepare",
]
