"""Names of voices: the ids we publish, the names under which others know them, and who stands in for whom.

Ids are lower case. Published file names (en-Emma_woman) and OpenAI's voice names (nova) are aliases, in any case.
Knows no back-end: a back-end says which of these it can speak with.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from tts_plugin import published_voices
from tts_plugin.engine.backend import Refused, Voice
from tts_plugin.published_voices import PublishedVoice

DEFAULT_VOICE = "default"

_OPENAI_NAMES = {
    "en-emma_woman": ("alloy", "nova", "marin"),
    "en-grace_woman": ("coral", "sage", "shimmer"),
    "en-carter_man": ("ash", "cedar"),
    "en-davis_man": ("ballad", "fable"),
    "en-frank_man": ("onyx",),
    "en-mike_man": ("echo", "verse"),
}

VIBEVOICE_ENGLISH = tuple(
    Voice(id, "en", id.rsplit("_", 1)[-1].replace("woman", "female").replace("man", "male"), description, aliases)
    for id, description, aliases in (
        ("en-emma_woman", "VibeVoice, American English", (DEFAULT_VOICE, *_OPENAI_NAMES["en-emma_woman"])),
        ("en-grace_woman", "VibeVoice, American English", _OPENAI_NAMES["en-grace_woman"]),
        ("en-carter_man", "VibeVoice, American English", _OPENAI_NAMES["en-carter_man"]),
        ("en-davis_man", "VibeVoice, American English", _OPENAI_NAMES["en-davis_man"]),
        ("en-frank_man", "VibeVoice, American English", _OPENAI_NAMES["en-frank_man"]),
        ("en-mike_man", "VibeVoice, American English", _OPENAI_NAMES["en-mike_man"]),
        ("in-samuel_man", "VibeVoice, Indian English", ()),
    )
)

# The one embedded voice stands in for every English voice, so that the standby voice can take over any call.
EMBEDDED = (
    Voice(
        "heart",
        "en",
        "female",
        "Embedded voice, American English; stands in for every other English voice",
        tuple(name for voice in VIBEVOICE_ENGLISH for name in (voice.id, *voice.aliases)),
    ),
)


def vibevoice(ids: Iterable[str]) -> tuple[Voice, ...]:
    """The voices with these ids, with what is known of them. Without en-emma_woman the first one is the default."""
    known = {voice.id: voice for voice in VIBEVOICE_ENGLISH}
    published = {voice.id: voice for voice in published_voices.published()}
    found = [known.get(id) or _voice(id, published.get(id)) for id in ids]
    if found and not any(DEFAULT_VOICE in voice.aliases for voice in found):
        found[0] = found[0]._replace(aliases=(DEFAULT_VOICE, *found[0].aliases))
    return tuple(found)


def _voice(id: str, published: PublishedVoice | None) -> Voice:
    if published is None:
        return Voice(id, "und", "unknown", "VibeVoice, a voice of your own")
    return Voice(id, published.language, published.gender, published.description)


def find(name: str, voices: Iterable[Voice]) -> Voice:
    """The voice with this id or alias. Raises Refused, naming what is allowed."""
    voices = tuple(voices)
    wanted = name.lower()
    for voice in voices:
        if wanted == voice.id or wanted in voice.aliases:
            return voice
    raise Refused("unknown_voice", f"voice is {name!r:.80}; allowed: {', '.join(names(voices))}")


def stand_in(name: str, available: Iterable[str]) -> str:
    """Who of `available` (ids and aliases) speaks where the voice `name` is not: of its language and gender, else of
    its language, else the default voice. Returns `name` when nobody is available.
    """
    others = tuple(available)
    wanted = _known().get(name.lower())
    if wanted is not None:
        alike = [other for other in others if _known().get(other) == wanted]
        same = [other for other in others if language_of(other) == wanted[0]]
        others = (*alike, *same, *(other for other in others if other == DEFAULT_VOICE), *others)
    elif DEFAULT_VOICE in others:
        return DEFAULT_VOICE
    return others[0] if others else name


def language_of(name: str) -> str:
    """BCP 47, "" where it is not known."""
    return _known().get(name.lower(), ("", ""))[0]


@cache
def _known() -> dict[str, tuple[str, str]]:
    """Language and gender by id and alias; the aliases of an embedded voice are those whom it stands in for."""
    voices = [*VIBEVOICE_ENGLISH, *vibevoice(voice.id for voice in published_voices.published())]
    known = {name: (voice.language, voice.gender) for voice in voices for name in (voice.id, *voice.aliases)}
    known.update({voice.id: (voice.language, voice.gender) for voice in EMBEDDED})
    return known


def names(voices: Iterable[Voice]) -> list[str]:
    """Every id and alias, ids first."""
    voices = tuple(voices)
    return [v.id for v in voices] + [alias for v in voices for alias in v.aliases]
