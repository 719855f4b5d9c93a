"""`tts-ops voices`: every voice that could speak here: id, language, gender, licence, where from, there or not."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tts_plugin import hub, preset, published_voices, voices
from tts_plugin.engine.model.config import WrongCheckpoint
from worker.settings import Settings

EMBEDDED_PACKAGE, EMBEDDED_LICENCE = "hibari-tts", "Apache-2.0"


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    language: str
    gender: str
    licence: str
    origin: str
    state: str
    description: str


def run(settings: Settings, *, as_json: bool = False) -> int:
    """Prints the list. Returns the exit code."""
    try:
        rows = listed(voices_folder(settings))
    except WrongCheckpoint as wrong:
        sys.stderr.write(f"tts-ops voices: {wrong}\n")
        return 1
    sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=1) + "\n" if as_json else _table(rows))
    return 0


def voices_folder(settings: Settings) -> Path | None:
    """Where VibeVoice's voices lie, or would. Raises WrongCheckpoint for a wrong TTS_MODEL_PATH."""
    files = hub.locate(settings.tts_model_name, settings.tts_model_path)
    return files.voices if files else hub.voices_cache()


def listed(folder: Path | None) -> list[Row]:
    """Embedded voices first, then the published ones, then what else was converted into the folder."""
    there = {path.stem for path in folder.glob("*.safetensors")} if folder else set()
    there = {voice for voice in there if folder and (folder / f"{voice}.json").is_file()}
    published = published_voices.published()
    own = sorted(there - {voice.id for voice in published})
    return [
        *_embedded(),
        *(_published(voice, voice.id in there) for voice in published),
        *(_own(folder, voice) for voice in own if folder),
    ]


def _embedded() -> list[Row]:
    state = "installed" if find_spec("hibari") else "not installed"
    try:
        origin = f"{EMBEDDED_PACKAGE} {metadata.version(EMBEDDED_PACKAGE)}"
    except metadata.PackageNotFoundError:
        origin = EMBEDDED_PACKAGE
    return [
        Row(voice.id, voice.language, voice.gender, EMBEDDED_LICENCE, origin, state, voice.description)
        for voice in voices.EMBEDDED
    ]


def _published(voice: published_voices.PublishedVoice, pulled: bool) -> Row:
    state = "pulled" if pulled else "not pulled"
    licence, origin = published_voices.LICENCE, published_voices.REPOSITORY
    return Row(voice.id, voice.language, voice.gender, licence, origin, state, voice.description)


def _own(folder: Path, voice: str) -> Row:
    try:
        source = str(json.loads((folder / f"{voice}.json").read_text(encoding="utf-8"))["source_file"])
    except (OSError, ValueError, KeyError, TypeError):
        source = "unknown"
    known = published_voices.PublishedVoice(f"{voice}.pt", "", None)
    state = "there" if preset.VOICE_ID.fullmatch(voice) else "not a voice id"
    return Row(voice, known.language, known.gender, "not known", source, state, "Converted on this machine")


def _table(rows: list[Row]) -> str:
    heads = ("id", "language", "gender", "licence", "from", "state", "")
    lines = [heads, *((r.id, r.language, r.gender, r.licence, r.origin, r.state, r.description) for r in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    text = "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )
    if any(row.state == "not pulled" for row in rows):
        text += "\ntts-ops pull fetches those that are not pulled; --voice ID only the one.\n"
    return text
