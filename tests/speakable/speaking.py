"""What a text sounds like, in words, fed in one piece or in many."""

from __future__ import annotations

from collections.abc import Iterable

from tts_plugin.text import Normaliser, SpokenWord


def words_of(deltas: Iterable[str], language: str | None = None) -> list[SpokenWord]:
    normaliser, words = Normaliser(language), []
    for delta in deltas:
        words += normaliser.feed(delta)
    return words + normaliser.end()


def said(text: str, language: str | None = None) -> str:
    return " ".join(word.text for word in words_of([text], language))
