"""Where pulled files go: huggingface's caches, or one folder that can be carried to another machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tts_plugin import hub
from tts_plugin.pull.problem import PullProblem
from tts_plugin.pull.progress import amount

SPARE_BYTES = 100_000_000  # what a pull leaves free


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of the model (config.json, weights), of tokenizer.json and of the voices."""

    model: Path
    tokenizer: Path
    voices: Path
    larger: str  # how to name a place with more room

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps a second pull out as long as this one works here. Raises PullProblem."""
        self.voices.mkdir(parents=True, exist_ok=True)
        with (self.voices / ".pull.lock").open("w") as lock:
            try:
                import fcntl
            except ImportError:  # Windows: two pulls at once fetch twice, and the last one wins
                yield
                return
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PullProblem(f"another tts-ops pull is filling {self.voices}: wait for it to end") from None
            yield

    def check_space(self, needs: dict[Path, int]) -> None:
        """Compares what is to come with what is free, per disk. Raises PullProblem before anything is fetched."""
        disks: dict[int, tuple[Path, int]] = {}
        for folder, size in needs.items():
            there = next(path for path in (folder, *folder.parents) if path.exists())
            disk = there.stat().st_dev
            disks[disk] = (there, disks.get(disk, (there, 0))[1] + size)
        for there, size in disks.values():
            free = shutil.disk_usage(there).free
            if size and size + SPARE_BYTES > free:
                raise PullProblem(
                    f"{amount(size)} are to come and {amount(SPARE_BYTES)} should stay free, but the disk of {there} "
                    f"has {amount(free)}: free some space, or {self.larger}"
                )


def cache_place() -> Place:
    """huggingface's caches of models and assets. Raises PullProblem where huggingface-hub is not installed."""
    cache, voices = hub.hub_cache(), hub.voices_cache()
    if cache is None or voices is None:
        raise PullProblem(
            "huggingface-hub is not installed, so there is no cache to fill: make vibevoice (elsewhere: "
            "pip install 'tts-ops[engine]'), or name a folder with tts-ops pull --to FOLDER"
        )
    return Place(
        hub.snapshot(cache, hub.MODEL, hub.MODEL_REVISION),
        hub.snapshot(cache, hub.TOKENIZER_MODEL, hub.TOKENIZER_REVISION),
        voices,
        "set HF_HOME to a folder on a larger disk",
    )


def folder_place(folder: Path) -> Place:
    """One folder with everything: what TTS_MODEL_PATH may name, here or on a machine without a network."""
    folder = folder.expanduser()
    return Place(folder, folder, folder / hub.VOICES_FOLDER, "name a folder on a larger disk with --to")
