"""The voices that VibeVoice's authors publish: ids, file names, git blob ids, languages. Read from presets.tsv.

They lie in the git repository of the model's code, not beside the weights. Knows nothing of what is on this machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

REPOSITORY = "microsoft/VibeVoice"
REVISION = "e73d1e17c3754f046352014856a922f8208fb5d3"
FOLDER = "demo/voices/streaming_model"
LICENCE = "MIT"

_LANGUAGES = {  # the file name's prefix → BCP 47, and for people
    "de": ("de", "German"),
    "en": ("en", "American English"),
    "fr": ("fr", "French"),
    "in": ("en", "Indian English"),
    "it": ("it", "Italian"),
    "jp": ("ja", "Japanese"),
    "kr": ("ko", "Korean"),
    "nl": ("nl", "Dutch"),
    "pl": ("pl", "Polish"),
    "pt": ("pt", "Portuguese"),
    "sp": ("es", "Spanish"),
}


class UnknownVoice(ValueError):
    """No published voice has this id; the text lists those that do."""


@dataclass(frozen=True, slots=True)
class PublishedVoice:
    file: str
    git_blob: str
    bytes: int | None  # None: larger than 4 MiB

    @property
    def id(self) -> str:
        """en-Emma_woman.pt → en-emma_woman, as tts_plugin.preset.voice_id makes it."""
        return self.file.removesuffix(".pt").lower()

    @property
    def language(self) -> str:
        return _LANGUAGES.get(self.id[:2], ("und", ""))[0]

    @property
    def gender(self) -> str:
        return {"woman": "female", "man": "male"}.get(self.id.rpartition("_")[2], "unknown")

    @property
    def description(self) -> str:
        return f"VibeVoice, {_LANGUAGES.get(self.id[:2], ('', 'unknown language'))[1]}"


@cache
def published() -> tuple[PublishedVoice, ...]:
    """All of them, in the order of their ids."""
    lines = (files("tts_plugin") / "presets.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")][1:]
    return tuple(PublishedVoice(file, blob, None if size == "-" else int(size)) for file, blob, size in rows)


def choose(ids: Iterable[str], voices: Iterable[PublishedVoice]) -> tuple[PublishedVoice, ...]:
    """Those of `voices` with these ids, in any case; all when no id is given. Raises UnknownVoice."""
    by_id = {voice.id: voice for voice in voices}
    wanted = [id.lower().removesuffix(".pt") for id in ids]
    for id in wanted:
        if id not in by_id:
            raise UnknownVoice(f"there is no voice {id!r:.80}; known: {', '.join(by_id)}")
    return tuple(by_id[id] for id in dict.fromkeys(wanted)) if wanted else tuple(by_id.values())
