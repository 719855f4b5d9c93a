"""What a checkpoint must hold, and whether a file holds it. Reads headers only: no tensor, no torch, no pickle.

The expected names and shapes are computed from the configuration, so a small random model is held to the same rule as
the published one (605 tensors).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import NamedTuple

from tts_plugin.engine.model.config import EXPECTED_MODEL, ModelConfig, WrongCheckpoint

DTYPE_BYTES = {"BF16": 2, "F16": 2, "F32": 4}
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format itself
NEVER_READ = "model.tts_language_model.embed_tokens.weight"  # in the file, used by nothing: 136 M parameters
OTHER_MODELS = {  # a piece of a tensor's name → the model it betrays
    "semantic_tokenizer": "VibeVoice-1.5B, -7B or -ASR",
    "lm_head": "VibeVoice-1.5B, -7B or -ASR",
    "acoustic_tokenizer.encoder": "a VibeVoice model with its acoustic encoder",
}


class TensorEntry(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    begin: int  # bytes from the start of the file
    end: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tensor file that was found right for its configuration."""

    path: Path
    config: ModelConfig
    tensors: dict[str, TensorEntry]


def check_checkpoint(path: Path, config: ModelConfig) -> Checkpoint:
    """Compares every name, shape and dtype of a .safetensors file. Raises WrongCheckpoint."""
    tensors = read_header(path)
    expected = expected_tensors(config)
    missing = [name for name in expected if name not in tensors]
    extra = [name for name in tensors if name not in expected]
    if missing or extra:
        raise WrongCheckpoint(_wrong_names(path, len(tensors), len(expected), missing, extra))
    misshapen = [name for name, shape in expected.items() if tensors[name].shape != shape]
    if misshapen:
        first = misshapen[0]
        raise WrongCheckpoint(
            f"{path}: {len(misshapen)} of {len(expected)} tensors have another shape than config.json says:"
            f" {first} is {tensors[first].shape}, expected {expected[first]}"
        )
    return Checkpoint(path, config, tensors)


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Names, dtypes, shapes and places of a .safetensors file. Raises WrongCheckpoint when broken or cut short."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise WrongCheckpoint(
                    f"{path}: {size} bytes are not a whole safetensors file (its header does not fit)"
                )
            header = json.loads(file.read(length))
    except OSError as error:
        raise WrongCheckpoint(f"cannot read {path}: {error.strerror}; expected a .safetensors file") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, WrongCheckpoint):
            raise
        raise WrongCheckpoint(f"{path}: the safetensors header is not JSON ({type(error).__name__})") from error
    if not isinstance(header, dict):
        raise WrongCheckpoint(f"{path}: the safetensors header is {type(header).__name__}, expected an object")
    header.pop("__metadata__", None)
    tensors = {name: _entry(path, name, raw, 8 + length) for name, raw in header.items()}
    _check_places(path, tensors, 8 + length, size)
    return tensors


def expected_tensors(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of the checkpoint that belongs to this configuration, by name, in no promised order."""
    hidden = config.language.hidden
    vocabulary = (config.language.vocabulary, hidden)
    shapes: dict[str, tuple[int, ...]] = {
        "model.speech_scaling_factor": (),
        "model.speech_bias_factor": (),
        "model.language_model.embed_tokens.weight": vocabulary,
        NEVER_READ: vocabulary,
        "model.tts_language_model.norm.weight": (hidden,),
        "model.tts_input_types.weight": (2, hidden),
    }
    for layer in range(config.base_layers):
        shapes |= _language_layer(f"model.language_model.layers.{layer}", config)
    for layer in range(config.tts_layers):
        shapes |= _language_layer(f"model.tts_language_model.layers.{layer}", config)
    shapes |= _linear("model.acoustic_connector.fc1", config.latent, hidden)
    shapes |= {"model.acoustic_connector.norm.weight": (hidden,)}
    shapes |= _linear("model.acoustic_connector.fc2", hidden, hidden)
    shapes |= _linear("tts_eos_classifier.fc1", hidden, hidden) | _linear("tts_eos_classifier.fc2", hidden, 1)
    return shapes | _diffusion_head(config) | _acoustic_decoder(config)


def _language_layer(prefix: str, config: ModelConfig) -> dict[str, tuple[int, ...]]:
    language = config.language
    hidden, queries, keys = language.hidden, language.heads * language.head_dim, language.kv_heads * language.head_dim
    return {
        **_linear(f"{prefix}.self_attn.q_proj", hidden, queries),
        **_linear(f"{prefix}.self_attn.k_proj", hidden, keys),
        **_linear(f"{prefix}.self_attn.v_proj", hidden, keys),
        f"{prefix}.self_attn.o_proj.weight": (hidden, queries),
        **_gated_mlp(f"{prefix}.mlp", hidden, language.intermediate),
        f"{prefix}.input_layernorm.weight": (hidden,),
        f"{prefix}.post_attention_layernorm.weight": (hidden,),
    }


def _diffusion_head(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    hidden, prefix = config.language.hidden, "model.prediction_head"
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}.noisy_images_proj.weight": (hidden, config.latent),
        f"{prefix}.cond_proj.weight": (hidden, hidden),
        f"{prefix}.t_embedder.mlp.0.weight": (hidden, 256),
        f"{prefix}.t_embedder.mlp.2.weight": (hidden, hidden),
        f"{prefix}.final_layer.linear.weight": (config.latent, hidden),
        f"{prefix}.final_layer.adaLN_modulation.1.weight": (2 * hidden, hidden),
    }
    for layer in range(config.diffusion.layers):
        name = f"{prefix}.layers.{layer}"
        shapes |= _gated_mlp(f"{name}.ffn", hidden, config.diffusion.ffn)
        shapes |= {f"{name}.norm.weight": (hidden,), f"{name}.adaLN_modulation.1.weight": (3 * hidden, hidden)}
    return shapes


def _acoustic_decoder(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    prefix, channels = "model.acoustic_tokenizer.decoder", config.decoder.channels
    shapes = _convolution(f"{prefix}.upsample_layers.0.0.conv.conv", (channels[0], config.latent, 7), channels[0])
    shapes |= _convolution(f"{prefix}.head.conv.conv", (1, channels[-1], 7), 1)
    for index, stride in enumerate(config.decoder.strides):
        wide, narrow = channels[index], channels[index + 1]
        name = f"{prefix}.upsample_layers.{index + 1}.0.convtr.convtr"
        shapes |= _convolution(name, (wide, narrow, 2 * stride), narrow)
    for stage, (width, depth) in enumerate(zip(channels, config.decoder.depths, strict=True)):
        for block in range(depth):
            name = f"{prefix}.stages.{stage}.{block}"
            shapes |= {f"{name}.{part}": (width,) for part in ("gamma", "ffn_gamma", "norm.weight", "ffn_norm.weight")}
            shapes |= _convolution(f"{name}.mixer.conv.conv.conv", (width, 1, 7), width)
            shapes |= _linear(f"{name}.ffn.linear1", width, 4 * width) | _linear(
                f"{name}.ffn.linear2", 4 * width, width
            )
    return shapes


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _convolution(name: str, weight: tuple[int, ...], outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": weight, f"{name}.bias": (outputs,)}


def _gated_mlp(name: str, hidden: int, intermediate: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.gate_proj.weight": (intermediate, hidden),
        f"{name}.up_proj.weight": (intermediate, hidden),
        f"{name}.down_proj.weight": (hidden, intermediate),
    }


def _entry(path: Path, name: str, raw: object, data_start: int) -> TensorEntry:
    match raw:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if all(
            isinstance(size, int) and size >= 0 for size in shape
        ):
            if dtype not in DTYPE_BYTES:
                raise WrongCheckpoint(f"{path}: {name} is {dtype}; expected one of {', '.join(DTYPE_BYTES)}")
            if not 0 <= begin <= end or end - begin != prod(shape) * DTYPE_BYTES[dtype]:
                raise WrongCheckpoint(f"{path}: {name} {dtype} {tuple(shape)} has {end - begin} bytes: a broken file")
            return TensorEntry(dtype, tuple(shape), data_start + begin, data_start + end)
    raise WrongCheckpoint(f"{path}: the header's entry of {name!r:.100} is malformed")


def _check_places(path: Path, tensors: dict[str, TensorEntry], data_start: int, size: int) -> None:
    """Every byte after the header belongs to exactly one tensor, as the format demands."""
    place = data_start
    for entry in sorted(tensors.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != place:
            raise WrongCheckpoint(f"{path}: tensors overlap or leave a hole at byte {place}: a broken file")
        place = entry.end
    if place != size:
        kind = "cut short" if size < place else "longer than its header says"
        raise WrongCheckpoint(f"{path} is {kind}: {size} bytes, expected {place}")


def _wrong_names(path: Path, found: int, expected: int, missing: list[str], extra: list[str]) -> str:
    parts = [f"{path}: found {found} tensors, expected {expected} of {EXPECTED_MODEL}"]
    parts += [f"{len(missing)} missing ({', '.join(missing[:3])}{', …' * (len(missing) > 3)})"] if missing else []
    parts += [f"{len(extra)} unknown ({', '.join(extra[:3])}{', …' * (len(extra) > 3)})"] if extra else []
    others = [model for piece, model in OTHER_MODELS.items() if any(piece in name for name in extra)]
    parts += [f"this looks like {others[0]}"] if others else []
    return "; ".join(parts)
