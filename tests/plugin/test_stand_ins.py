"""Every voice has a stand-in on every engine."""

from __future__ import annotations

import pytest

from tts_plugin import published_voices, voices
from tts_plugin.options import voice_and_language

EMBEDDED = voices.names(voices.EMBEDDED)
PUBLISHED = [voice.id for voice in published_voices.published()]


@pytest.mark.parametrize("wanted", [*PUBLISHED, "default", "nova", "a-voice-of-my-own"])
def test_every_voice_has_a_stand_in_among_the_embedded_ones(wanted: str) -> None:
    voice, _ = voice_and_language(wanted, None, EMBEDDED, plain=False)
    assert voices.find(voice, voices.EMBEDDED).id == "heart"


@pytest.mark.parametrize("wanted", PUBLISHED)
def test_a_stand_in_has_the_language_and_the_gender_where_there_is_one(wanted: str) -> None:
    by_id = {voice.id: voice for voice in published_voices.published()}
    others = [id for id in PUBLISHED if id != wanted]
    alike = [id for id in others if (by_id[id].language, by_id[id].gender) == _kind(wanted)]
    same = [id for id in others if by_id[id].language == by_id[wanted].language]
    assert voices.stand_in(wanted, others) in (alike or same or others)


def _kind(id: str) -> tuple[str, str]:
    voice = next(voice for voice in published_voices.published() if voice.id == id)
    return voice.language, voice.gender


def test_a_voice_that_is_there_is_asked_for_as_it_was_written() -> None:
    assert voice_and_language("En-Emma_woman", "en-GB", EMBEDDED, plain=False) == ("En-Emma_woman", "en-GB")


def test_a_stand_in_is_not_told_a_language_that_it_does_not_speak() -> None:
    assert voice_and_language("de-spk0_man", "de-CH", EMBEDDED, plain=False) == ("default", None)
    assert voice_and_language("de-spk0_man", "de-CH", ["fr-spk0_man", "de-spk1_woman"], plain=False) == (
        "de-spk1_woman",
        "de-CH",
    )


def test_of_an_engine_that_names_no_voice_the_wanted_one_is_asked() -> None:
    assert voice_and_language("nova", None, (), plain=False) == ("nova", None)
