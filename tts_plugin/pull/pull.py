"""The whole errand: what is missing is fetched, what is there is verified, voices are converted. Runs none of it.

Small files come first, so that a wrong address shows before two gigabytes have come.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tts_plugin import preset
from tts_plugin.preset import WrongPreset
from tts_plugin.published_voices import PublishedVoice
from tts_plugin.pull.fetch import disk_problem, fetch, is_right, remaining_bytes
from tts_plugin.pull.line import Line, Patience
from tts_plugin.pull.place import Place
from tts_plugin.pull.problem import PullProblem
from tts_plugin.pull.progress import Progress
from tts_plugin.pull.source import HubFile, Source

VOICE_GUESS_BYTES = 8_000_000  # of a voice of unknown size
ARRIVALS = ".arriving"  # under the voices: .pt files on their way to being converted


@dataclass(frozen=True, slots=True)
class Pulled:
    fetched: int  # files that had to come
    voices: tuple[str, ...]  # ids that are there now


def pull(
    source: Source, place: Place, voices: Iterable[str], progress: Progress, patience: Patience | None = None
) -> Pulled:
    """Fills `place` with the model and these voices (none named: all). Raises PullProblem or UnknownVoice."""
    chosen = source.choose(voices)
    line = Line(patience or Patience(), token=source.token, token_host=source.hub_host, offline=source.offline)
    files = _hub_files(source, place)
    with _writing(place), place.alone():
        missing = [voice for voice in chosen if not _is_there(voice, place.voices)]
        place.check_space(_needs(source, files, missing, place))
        *small, weights = files
        fetched = sum(fetch(source.hub_file(file), folder / file.name, line, progress) for file, folder in small)
        for voice in missing:
            _pull_voice(source, voice, place.voices, line, progress)
        fetched += fetch(source.hub_file(weights[0]), weights[1] / weights[0].name, line, progress)
    return Pulled(fetched + len(missing), tuple(voice.id for voice in chosen))


def _hub_files(source: Source, place: Place) -> list[tuple[HubFile, Path]]:
    return [(source.config, place.model), (source.tokenizer, place.tokenizer), (source.weights, place.model)]


def _needs(
    source: Source, files: list[tuple[HubFile, Path]], voices: list[PublishedVoice], place: Place
) -> dict[Path, int]:
    """Bytes to come, by folder. A voice is there twice for a moment; its two forms are of nearly one size."""
    needs = dict.fromkeys((place.model, place.tokenizer, place.voices), 0)
    for file, folder in files:
        needs[folder] += remaining_bytes(source.hub_file(file), folder / file.name, 0)
    sizes = [voice.bytes or VOICE_GUESS_BYTES for voice in voices]
    needs[place.voices] += sum(sizes) + max(sizes, default=0)
    return needs


def _is_there(voice: PublishedVoice, folder: Path) -> bool:
    try:
        return preset.verify(folder, voice.id).source_git_blob == voice.git_blob
    except WrongPreset:
        return False


def _pull_voice(source: Source, voice: PublishedVoice, folder: Path, line: Line, progress: Progress) -> None:
    arrived, brought = folder / ARRIVALS / voice.file, folder / voice.file
    carried = brought.is_file() and is_right(source.voice_file(voice), brought, progress)
    if not carried:
        fetch(source.voice_file(voice), arrived, line, progress)
    try:
        preset.convert(brought if carried else arrived, folder)
    except WrongPreset as wrong:
        raise PullProblem(
            f"voice {voice.id}: {wrong}; leave it out with --voice, which names those to fetch"
        ) from wrong
    finally:
        arrived.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        arrived.parent.rmdir()


@contextlib.contextmanager
def _writing(place: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_problem("tts-ops pull", error, place.voices) from error
