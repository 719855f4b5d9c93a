"""A voice preset in memory: what the models remember of the voice prompt. Read from the file that preset.py writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint
from tts_plugin.engine.model.tensor_file import open_tensors
from tts_plugin.weights import read_header


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys (rotated) and values of a prompt, [layers, kv_heads, positions, head_dim] each."""

    keys: Tensor
    values: Tensor

    @property
    def positions(self) -> int:
        return self.keys.shape[2]


@dataclass(frozen=True, slots=True)
class Voice:
    base: Prefix
    tts: Prefix
    negative: Prefix  # of the TTS model's unguided branch: one position, the same in every published voice
    hidden: Tensor  # [hidden]: the TTS model's last hidden state, the condition if no text came
    negative_hidden: Tensor  # [hidden]: the condition of the unguided branch until the first latent is fed back


def load_voice(path: Path, config: ModelConfig, device: torch.device, dtype: torch.dtype) -> Voice:
    """Reads a converted preset (.safetensors). Raises WrongCheckpoint when it is broken or of another model."""
    entries = read_header(path)
    shapes = {name: entry.shape for name, entry in entries.items()}
    for model, layers in (("lm", config.base_layers), ("tts_lm", config.tts_layers), ("neg_tts_lm", config.tts_layers)):
        _check(path, shapes, model, layers, config)
    with open_tensors(path, entries) as file:

        def read(name: str) -> Tensor:
            return file.read(name)[0].to(device=device, dtype=dtype)

        def prefix(model: str, layers: int) -> Prefix:
            return Prefix(*(torch.stack([read(f"{model}.{kind}_cache.{i}") for i in range(layers)]) for kind in KINDS))

        return Voice(
            base=prefix("lm", config.base_layers),
            tts=prefix("tts_lm", config.tts_layers),
            negative=prefix("neg_tts_lm", config.tts_layers),
            hidden=read("tts_lm.last_hidden_state")[-1].clone(),
            negative_hidden=read("neg_tts_lm.last_hidden_state")[-1].clone(),
        )


KINDS = ("key", "value")


def _check(path: Path, shapes: dict[str, tuple[int, ...]], model: str, layers: int, config: ModelConfig) -> None:
    name = f"{model}.last_hidden_state"
    found = shapes.get(name)
    if found is None or len(found) != 3 or found[0] != 1 or found[1] < 1 or found[2] != config.language.hidden:
        raise WrongCheckpoint(f"{path}: {name} is {found}; expected (1, positions, {config.language.hidden})")
    expected = (1, config.language.kv_heads, found[1], config.language.head_dim)
    for kind in KINDS:
        count = sum(other.startswith(f"{model}.{kind}_cache.") for other in shapes)
        if count != layers:
            raise WrongCheckpoint(
                f"{path}: {model} has {count} layers of {kind}s; expected {layers}: another model's voice"
            )
        for layer in range(layers):
            name = f"{model}.{kind}_cache.{layer}"
            if shapes.get(name) != expected:
                raise WrongCheckpoint(f"{path}: {name} is {shapes.get(name)}; expected {expected}")
