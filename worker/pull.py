"""`tts-ops pull`: what the settings want fetched, shown on standard error, told in one line on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tts_plugin import hub
from tts_plugin.engine.device import has_onnx
from tts_plugin.engine.model.config import WrongCheckpoint
from tts_plugin.published_voices import UnknownVoice
from tts_plugin.pull.line import Patience
from tts_plugin.pull.place import Place, cache_place, folder_place
from tts_plugin.pull.problem import PullProblem
from tts_plugin.pull.progress import Progress
from tts_plugin.pull.pull import Pulled, pull
from tts_plugin.pull.source import Source, configured_source
from worker.settings import Settings


def run(
    settings: Settings,
    *,
    voices: Iterable[str] = (),
    to: Path | None = None,
    device: str | None = None,
    source: Source | None = None,
    patience: Patience | None = None,
) -> int:
    """Fetch and verify. Returns the exit code: 0 done, 1 could not, 2 asked for something that is not, 130 stopped."""
    try:
        _refuse_other_models(settings)
        folder = to or settings.tts_model_path
        place = folder_place(folder) if folder else cache_place()
        _refuse_other_devices(device)
        progress = Progress(sys.stderr)
        done = pull(source or configured_source(), place, voices, progress, patience)
        if device == "cpu":
            _convert(settings, place, folder, progress)
    except (PullProblem, UnknownVoice) as problem:
        sys.stderr.write(f"tts-ops pull: {problem}\n")
        return 2 if isinstance(problem, UnknownVoice) else 1
    except KeyboardInterrupt:
        sys.stderr.write("\ntts-ops pull: stopped; tts-ops pull goes on from here\n")
        return 130
    sys.stdout.write(_outcome(done, place, folder, settings))
    return 0


def _refuse_other_devices(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise PullProblem(f"--device is {device!r:.40}; only cpu needs something made beforehand: leave it out")
    if device == "cpu" and not has_onnx():
        raise PullProblem("--device cpu needs onnx and onnxruntime: make vibevoice-cpu, or pip install 'tts-ops[cpu]'")


def _convert(settings: Settings, place: Place, folder: Path | None, progress: Progress) -> None:
    """Makes what a CPU opens, beside what was fetched; a folder carries it along. Raises PullProblem."""
    from tts_plugin.engine.device import NoSuchDevice, resolve
    from tts_plugin.engine.onnx.problem import CannotKeep
    from tts_plugin.engine.open_onnx import CONVERTED_FOLDER, open_files

    if folder:
        (place.model / CONVERTED_FOLDER).mkdir(exist_ok=True)
    files = hub.ModelFiles(
        place.model / hub.CONFIG_FILE,
        place.model / hub.WEIGHTS_FILE,
        place.tokenizer / hub.TOKENIZER_FILE,
        place.voices,
    )
    try:
        resolved = resolve("cpu", settings.tts_dtype)
        if resolved.runtime == "onnx":
            open_files(
                settings.engine,
                files,
                resolved.dtype,
                lambda part, done, total: progress.say(f"converting for this CPU: {done + 1} of {total} ({part})"),
            )
    except (CannotKeep, NoSuchDevice, WrongCheckpoint) as problem:
        raise PullProblem(str(problem)) from problem


def _refuse_other_models(settings: Settings) -> None:
    if settings.tts_model_name != hub.MODEL:
        raise PullProblem(
            f"TTS_MODEL_NAME is {settings.tts_model_name}; sizes and hashes are known of {hub.MODEL} only: "
            "unset it, or put the other model's files into a folder and name that with TTS_MODEL_PATH"
        )


def _outcome(done: Pulled, place: Place, folder: Path | None, settings: Settings) -> str:
    came = f"{done.fetched} files fetched" if done.fetched else "nothing was missing"
    where = os.path.abspath(folder or place.model)
    text = f"VibeVoice and {len(done.voices)} voices are in {where} ({came}, all verified)."
    if folder and folder != settings.tts_model_path:
        return f"{text} Use them with TTS_MODEL_PATH={os.path.abspath(folder)}, here or where you carry the folder.\n"
    return f"{text} `tts-ops voices` lists them; TTS_BACKEND=vibevoice speaks with them.\n"
