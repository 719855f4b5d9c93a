"""A folder such as `tts-ops pull --to` makes, with a small network of random weights and voices that speak noise."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.model.random_weights import SMALL, random_voice, write_checkpoint
from tts_plugin.engine.model.voice import Prefix
from tts_plugin.preset import Manifest

VOICES = {"en-emma_woman": (74, 251), "en-mike_man": (49, 148), "de-spk0_man": (64, 128)}  # base, TTS positions


def write_model(folder: Path, config: ModelConfig = SMALL) -> Path:
    """Returns folder. Models converted for a CPU are kept in it, not in anybody's cache."""
    write_checkpoint(folder, config)
    (folder / "onnx").mkdir(exist_ok=True)
    for seed, (voice, positions) in enumerate(VOICES.items()):
        _write_voice(folder / "voices", voice, config, *positions, seed)
    return folder


def _write_voice(folder: Path, name: str, config: ModelConfig, base: int, tts: int, seed: int) -> None:
    voice = random_voice(config, base, tts, seed)
    hidden = {"lm": voice.hidden, "tts_lm": voice.hidden, "neg_lm": voice.hidden, "neg_tts_lm": voice.negative_hidden}
    prefixes = {"lm": voice.base, "tts_lm": voice.tts, "neg_lm": voice.negative, "neg_tts_lm": voice.negative}
    tensors: dict[str, torch.Tensor] = {}
    for model, prefix in prefixes.items():
        tensors |= _as_tensors(model, prefix, hidden[model])
    data = save({key: tensor.bfloat16().contiguous() for key, tensor in tensors.items()})
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(data)
    manifest = Manifest(
        voice=name,
        source_file=f"{name}.pt",
        source_bytes=0,
        source_sha256="",
        source_git_blob="",
        published=False,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        positions={model: prefix.positions for model, prefix in prefixes.items()},
        layers={model: len(prefix.keys) for model, prefix in prefixes.items()},
        hidden=config.language.hidden,
    )
    (folder / f"{name}.json").write_text(json.dumps(asdict(manifest)), encoding="utf-8")


def _as_tensors(model: str, prefix: Prefix, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
    tensors = {f"{model}.last_hidden_state": hidden.expand(1, prefix.positions, -1)}
    for layer in range(len(prefix.keys)):
        tensors[f"{model}.key_cache.{layer}"] = prefix.keys[layer][None]
        tensors[f"{model}.value_cache.{layer}"] = prefix.values[layer][None]
    return tensors
