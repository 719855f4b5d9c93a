"""A voice preset in memory: what the models remember of the voice prompt. Read from the file that preset.py writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.model.tensor_file import open_tensors
from tts_plugin.engine.model.voice_shapes import KINDS, check_voice
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
    check_voice(path, entries, config)
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
