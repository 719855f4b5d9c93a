"""A voice preset in memory as arrays: what the models remember of the voice prompt. See preset.py for its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.model.voice_shapes import KINDS, check_voice
from tts_plugin.engine.onnx.checkpoint import open_tensors
from tts_plugin.engine.onnx.page_store import Prefix
from tts_plugin.weights import read_header


@dataclass(frozen=True, slots=True)
class Voice:
    base: Prefix
    tts: Prefix
    negative: Prefix  # of the TTS model's unguided branch: one position, the same in every published voice
    negative_hidden: NDArray[np.float32]  # [hidden]: the unguided condition until the first latent is fed back


def load_voice(path: Path, config: ModelConfig) -> Voice:
    """Reads a converted preset (.safetensors). Raises WrongCheckpoint when it is broken or of another model."""
    entries = read_header(path)
    check_voice(path, entries, config)
    with open_tensors(path, entries) as tensors:

        def prefix(model: str, layers: int) -> Prefix:
            return Prefix(
                *(np.stack([tensors[f"{model}.{kind}_cache.{i}"][0] for i in range(layers)]) for kind in KINDS)
            )

        return Voice(
            base=prefix("lm", config.base_layers),
            tts=prefix("tts_lm", config.tts_layers),
            negative=prefix("neg_tts_lm", config.tts_layers),
            negative_hidden=tensors["neg_tts_lm.last_hidden_state"][0, -1],
        )
