"""Graphs that were converted once and are kept on disk: what is there is opened, what is missing is made.

A folder's name says of which weights, in which precision, by which version of this code it is; it appears whole or not
at all. Knows no model.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tts_plugin.engine.onnx.builder import Builder
from tts_plugin.engine.onnx.problem import CannotKeep
from tts_plugin.weights import TensorEntry

logger = logging.getLogger(__name__)

VERSION = 3  # to be raised when a graph or its weights change
_LOOK_BYTES = 4096  # of every tensor
_ABANDONED_S = 3600.0

Report = Callable[[str, int, int], None]  # what is converted, how many are done, of how many


class Part(NamedTuple):
    name: str
    build: Callable[[Builder], None]

    def path(self, folder: Path) -> Path:
        return folder / f"{self.name}.onnx"


def log_report(name: str, done: int, total: int) -> None:
    logger.info("converting VibeVoice for this CPU, once: part %d of %d (%s)", done + 1, total, name)


def identity(config: Path, weights: Path, entries: Mapping[str, TensorEntry]) -> str:
    """A name for these weights: from config.json, the file's header and the beginning of every tensor."""
    digest = hashlib.sha256(config.read_bytes())
    digest.update(repr(sorted(entries.items())).encode())
    with weights.open("rb") as file:
        for _, entry in sorted(entries.items()):
            file.seek(entry.begin)
            digest.update(file.read(min(_LOOK_BYTES, entry.end - entry.begin)))
    return digest.hexdigest()[:16]


def find(roots: Sequence[Path], key: str) -> Path | None:
    """The folder of this key, in the first root that has it."""
    return next((root / key for root in roots if (root / key).is_dir()), None)


def convert(root: Path, key: str, parts: Sequence[Part], report: Report = log_report) -> Path:
    """Makes the folder `key` in root, or takes the one that another process made meanwhile. Raises CannotKeep."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root)
        with _partial(root, key) as partial:
            for done, part in enumerate(parts):
                report(part.name, done, len(parts))
                builder = Builder(part.path(partial))
                part.build(builder)
                builder.save()
            if not (root / key).is_dir():
                partial.rename(root / key)
    except OSError as error:
        if (root / key).is_dir():
            return root / key
        raise CannotKeep(
            f"the converted model cannot be written to {root}: {error.strerror or error}; make room there, or set "
            "HF_HOME to a folder that can be written"
        ) from error
    return root / key


@contextmanager
def _partial(root: Path, key: str) -> Iterator[Path]:
    partial = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=root))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    """What a conversion that was killed left behind."""
    for folder in root.glob(".*"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
