"""Builds a Network and fills it: from a checked .safetensors file, tensor by tensor, straight to its device and dtype.

The network is made without memory (meta device) and every tensor is read, converted and placed before the next, so the
peak is the model plus its largest tensor. What is never used is never read. No pickle is ever opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint, read_config
from tts_plugin.engine.model.network import Network
from tts_plugin.engine.model.tensor_file import open_tensors
from tts_plugin.weights import NEVER_READ, check_checkpoint, expected_tensors

RENAMED: tuple[tuple[str, str], ...] = (  # the checkpoint's name → ours; the first pattern that matches counts
    (r"model\.language_model\.(embed_tokens\..*)", r"\1"),
    (r"model\.language_model\.(.*)", r"base_model.\1"),
    (r"model\.tts_language_model\.(.*)", r"tts_model.\1"),
    (r"model\.tts_input_types\.(.*)", r"input_types.\1"),
    (r"model\.acoustic_connector\.(.*)", r"connector.\1"),
    (r"tts_eos_classifier\.(.*)", r"eos.\1"),
    (r"model\.(speech_\w+_factor)", r"\1"),
    (r"model\.prediction_head\.t_embedder\.mlp\.0\.(.*)", r"diffusion_head.t_embedder.input.\1"),
    (r"model\.prediction_head\.t_embedder\.mlp\.2\.(.*)", r"diffusion_head.t_embedder.output.\1"),
    (r"model\.prediction_head\.(.*adaLN_modulation)\.1\.(.*)", r"diffusion_head.\1.\2"),
    (r"model\.prediction_head\.(.*)", r"diffusion_head.\1"),
    (r"model\.acoustic_tokenizer\.decoder\.upsample_layers\.0\.0\.conv\.conv\.(.*)", r"decoder.stem.\1"),
    (r"model\.acoustic_tokenizer\.decoder\.head\.conv\.conv\.(.*)", r"decoder.head.\1"),
    (r"model\.acoustic_tokenizer\.decoder\.(stages\.\d+\.\d+)\.mixer\.conv\.conv\.conv\.(.*)", r"decoder.\1.mixer.\2"),
    (r"model\.acoustic_tokenizer\.decoder\.(stages\.\d+\.\d+)\.ffn\.(.*)", r"decoder.\1.\2"),
    (r"model\.acoustic_tokenizer\.decoder\.(stages\..*)", r"decoder.\1"),
)
UPSAMPLER = re.compile(r"model\.acoustic_tokenizer\.decoder\.upsample_layers\.(\d+)\.0\.convtr\.convtr\.(\w+)")


def load_folder(folder: Path, device: torch.device, dtype: torch.dtype) -> Network:
    """Loads config.json and model.safetensors of a folder. Raises WrongCheckpoint."""
    if not (folder / "model.safetensors").exists() and (folder / "model.safetensors.index.json").exists():
        raise WrongCheckpoint(
            f"{folder} holds weights in several files, as larger VibeVoice models do; expected one model.safetensors"
        )
    return load(folder / "config.json", folder / "model.safetensors", device, dtype)


def load(config_path: Path, weights_path: Path, device: torch.device, dtype: torch.dtype) -> Network:
    """Loads a network. Raises WrongCheckpoint with what was found and what was expected."""
    config = read_config(config_path)
    checkpoint = check_checkpoint(weights_path, config)
    with open_tensors(weights_path, checkpoint.tensors) as file:
        network = build(config, file.read, device, dtype)
    scale, bias = float(network.speech_scaling_factor), float(network.speech_bias_factor)
    if not (math.isfinite(scale) and math.isfinite(bias) and scale):
        raise WrongCheckpoint(f"{weights_path}: speech scaling {scale} and bias {bias}; expected finite numbers, not 0")
    return network


def build(config: ModelConfig, read: Callable[[str], Tensor], device: torch.device, dtype: torch.dtype) -> Network:
    """Makes a network of tensors that `read` gives by their name in the checkpoint; each is asked for once."""
    with torch.device("meta"):
        network = Network(config)
    placed: dict[str, Tensor] = {}
    for name in expected_tensors(config):
        if name != NEVER_READ:
            ours, arranged = arrange(name, read(name))
            placed[ours] = arranged.to(device=device, dtype=dtype).contiguous()
    network.load_state_dict(placed, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def arrange(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A checkpoint's tensor under our name and in our layout."""
    if upsampler := UPSAMPLER.fullmatch(name):
        ours = f"decoder.upsamplers.{int(upsampler[1]) - 1}.{upsampler[2]}"
        return ours, _as_matrix(tensor) if upsampler[2] == "weight" else tensor
    for pattern, replacement in RENAMED:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement), tensor
    raise AssertionError(f"no rule for {name}")


def _as_matrix(kernel: Tensor) -> Tensor:
    """[in, out, 2 * stride] of a transposed convolution → [stride * out, 2 * in]: this column, then the one before."""
    inputs, outputs, taps = kernel.shape
    halves = kernel.reshape(inputs, outputs, 2, taps // 2)
    return halves.permute(3, 1, 2, 0).reshape(taps // 2 * outputs, 2 * inputs)
