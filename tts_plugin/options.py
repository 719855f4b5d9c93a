"""What an utterance is said with, and with which voice on an engine that may not have the one that is wanted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tts_plugin import voices
from tts_plugin.protocol import UtteranceClass


@dataclass(frozen=True, slots=True)
class Options:
    """Every stream keeps those it was opened with. Raises ValueError for a wrong timeout."""

    voice: str
    klass: UtteranceClass
    seed: int | None
    language: str | None
    first_audio_timeout_s: float | None
    stall_timeout_s: float

    def __post_init__(self) -> None:
        for name in ("first_audio_timeout_s", "stall_timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value!r}; allowed: a number of seconds above 0")


def voice_and_language(
    voice: str, language: str | None, available: Collection[str], *, plain: bool
) -> tuple[str, str | None]:
    """What to ask an engine for that has the voices `available`; `plain`: it refused the voice or the language."""
    if not plain and (not available or voice.lower() in available):
        return voice, language
    stand_in = voices.stand_in(voice, available)
    speaks = voices.language_of(stand_in)
    fits = not plain and language is not None and language.lower().split("-")[0] == speaks
    return stand_in, language if fits else None
