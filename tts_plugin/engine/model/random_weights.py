"""Networks of any size with random weights: for tests, and for benchmarks of the real size without a download.

Every tensor has a generator of its own, seeded by its name, so a model is the same however it is built or stored.
They speak noise: nothing about audio quality can be learned from them.
"""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import torch
from safetensors.torch import save_file
from torch import Tensor

from tts_plugin.engine.model.config import MODEL_TYPE, ModelConfig, parse_config
from tts_plugin.engine.model.load import build
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.shapes import REALTIME_05B, SMALL
from tts_plugin.engine.model.voice import Prefix, Voice
from tts_plugin.weights import expected_tensors

__all__ = ["REALTIME_05B", "SMALL", "random_voice", "random_weights"]

NEVER_ENDS = -30.0  # an EOS bias that no hidden state overcomes
PUBLISHED_FACTORS = {"model.speech_scaling_factor": 0.2333984375, "model.speech_bias_factor": -0.0703125}


def random_weights(
    config: ModelConfig,
    seed: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    eos_bias: float = NEVER_ENDS,
) -> Network:
    shapes = expected_tensors(config)
    return build(config, lambda name: _tensor(name, shapes[name], seed, eos_bias), torch.device(device), dtype)


def random_voice(
    config: ModelConfig, base_positions: int, tts_positions: int, seed: int = 0, like: Tensor | None = None
) -> Voice:
    """A voice preset of the given lengths (en-Emma's are 74 and 251); `like` gives device and dtype."""
    like = torch.empty(0) if like is None else like
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(like)

    def prefix(layers: int, positions: int) -> Prefix:
        shape = (layers, config.language.kv_heads, positions, config.language.head_dim)
        return Prefix(draw(*shape), draw(*shape))

    return Voice(
        base=prefix(config.base_layers, base_positions),
        tts=prefix(config.tts_layers, tts_positions),
        negative=prefix(config.tts_layers, 1),
        hidden=draw(config.language.hidden),
        negative_hidden=draw(config.language.hidden),
    )


def write_checkpoint(folder: Path, config: ModelConfig, seed: int = 0, eos_bias: float = NEVER_ENDS) -> None:
    """Writes config.json and model.safetensors (bfloat16) as published models have them."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = expected_tensors(config)
    tensors = {name: _tensor(name, shape, seed, eos_bias).bfloat16() for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    raw = as_json(config)
    assert parse_config(raw) == config
    (folder / "config.json").write_text(json.dumps(raw, indent=1), encoding="utf-8")


def as_json(config: ModelConfig) -> dict[str, object]:
    """The config.json of a configuration: only the keys that parse_config reads."""
    language, decoder = config.language, config.decoder
    return {
        "model_type": MODEL_TYPE,
        "tts_backbone_num_hidden_layers": config.tts_layers,
        "decoder_config": {
            "model_type": "qwen2",
            "hidden_size": language.hidden,
            "intermediate_size": language.intermediate,
            "num_hidden_layers": language.layers,
            "num_attention_heads": language.heads,
            "num_key_value_heads": language.kv_heads,
            "head_dim": language.head_dim,
            "vocab_size": language.vocabulary,
            "max_position_embeddings": language.max_positions,
            "rope_theta": language.rope_theta,
            "rms_norm_eps": language.norm_eps,
        },
        "acoustic_tokenizer_config": {
            "vae_dim": config.latent,
            "decoder_n_filters": decoder.filters,
            "decoder_ratios": list(decoder.strides),
            "decoder_depths": list(decoder.depths),
            "layernorm_eps": decoder.norm_eps,
        },
        "diffusion_head_config": {
            "hidden_size": language.hidden,
            "latent_size": config.latent,
            "head_layers": config.diffusion.layers,
            "head_ffn_ratio": config.diffusion.ffn / language.hidden,
            "rms_norm_eps": config.diffusion.norm_eps,
            "ddpm_num_steps": config.diffusion.train_steps,
            "ddpm_num_inference_steps": config.diffusion.default_steps,
        },
    }


def _tensor(name: str, shape: tuple[int, ...], seed: int, eos_bias: float) -> Tensor:
    """Scaled so that no activation grows or dies with depth."""
    if name in PUBLISHED_FACTORS:
        return torch.tensor(PUBLISHED_FACTORS[name])
    if name == "tts_eos_classifier.fc2.bias":
        return torch.full(shape, eos_bias)
    # torch's CPU generator takes 32 bits of a seed and drops the rest
    generator = torch.Generator().manual_seed(crc32(f"{seed} {name}".encode()))
    noise = torch.randn(shape, generator=generator)
    if name.endswith("gamma"):
        return noise.mul_(0.05).add_(0.2)
    if len(shape) == 1:
        return noise.mul_(0.05).add_(1.0 if "norm" in name else 0.0)
    if "embed_tokens" in name or "input_types" in name:
        return noise
    inputs = 2 * shape[0] if "convtr" in name else noise[0].numel()
    return noise.mul_(inputs**-0.5)
