"""Whether a converted voice preset fits a model: names and shapes, from the file's header alone. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint
from tts_plugin.weights import TensorEntry

KINDS = ("key", "value")


def check_voice(path: Path, entries: Mapping[str, TensorEntry], config: ModelConfig) -> None:
    """Raises WrongCheckpoint when the file is of another model."""
    shapes = {name: entry.shape for name, entry in entries.items()}
    for model, layers in (("lm", config.base_layers), ("tts_lm", config.tts_layers), ("neg_tts_lm", config.tts_layers)):
        _check(path, shapes, model, layers, config)


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
