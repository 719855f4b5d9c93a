"""The shape of a VibeVoice streaming model, read from its config.json. Knows nothing of torch or of tensor files.

Only what the network is built from is kept. A feature that this code does not build is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

MODEL_TYPE = "vibevoice_streaming"
EXPECTED_MODEL = f"a streaming model (model_type {MODEL_TYPE!r}), such as microsoft/VibeVoice-Realtime-0.5B"
SAMPLE_RATE_HZ = 24_000
MAX_LAYERS = 1_000  # of any part: keeps a hostile config.json from costing time or memory
MAX_STAGES = 12


class WrongCheckpoint(ValueError):
    """These are not weights that this engine can run: what was found, and what was expected."""


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    hidden: int
    intermediate: int
    layers: int  # base and TTS model together
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_positions: int
    rope_theta: float
    norm_eps: float


@dataclass(frozen=True, slots=True)
class DiffusionConfig:
    layers: int
    ffn: int
    norm_eps: float
    train_steps: int
    default_steps: int


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    filters: int
    strides: tuple[int, ...]
    depths: tuple[int, ...]  # blocks per stage, one stage more than strides
    norm_eps: float

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels per stage: halved by every transposed convolution, `filters` in the last."""
        return tuple(self.filters << (len(self.strides) - stage) for stage in range(len(self.strides) + 1))


@dataclass(frozen=True, slots=True)
class ModelConfig:
    language: LanguageConfig
    tts_layers: int
    latent: int
    diffusion: DiffusionConfig
    decoder: DecoderConfig

    @property
    def base_layers(self) -> int:
        return self.language.layers - self.tts_layers

    @property
    def samples_per_latent(self) -> int:
        return prod(self.decoder.strides)


def read_config(path: Path) -> ModelConfig:
    """Reads a config.json. Raises WrongCheckpoint when it is missing, broken, or of another model."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongCheckpoint(f"cannot read {path}: {error.strerror}; expected {EXPECTED_MODEL}") from error
    except (ValueError, RecursionError) as error:
        raise WrongCheckpoint(f"{path} is not JSON ({type(error).__name__}); expected {EXPECTED_MODEL}") from error
    if not isinstance(raw, dict):
        raise WrongCheckpoint(f"{path} holds {type(raw).__name__}; expected a JSON object")
    return parse_config(raw, str(path))


def parse_config(raw: Mapping[str, object], source: str = "config") -> ModelConfig:
    """Builds the configuration from parsed JSON. Raises WrongCheckpoint naming the key that does not fit."""
    top = _Section(raw, source)
    _refuse_other_models(top)
    language = _language(top.section("decoder_config"))
    tokenizer, head = top.section("acoustic_tokenizer_config"), top.section("diffusion_head_config")
    config = ModelConfig(
        language=language,
        tts_layers=top.integer("tts_backbone_num_hidden_layers"),
        latent=tokenizer.integer("vae_dim"),
        diffusion=_diffusion(head, language.hidden),
        decoder=_decoder(tokenizer),
    )
    head.require("latent_size", config.latent)
    if not 0 < config.tts_layers < language.layers:
        raise WrongCheckpoint(
            f"{source}: tts_backbone_num_hidden_layers is {config.tts_layers};"
            f" expected 1 to {language.layers - 1} (of num_hidden_layers {language.layers})"
        )
    return config


def _refuse_other_models(top: _Section) -> None:
    model_type, architectures = top.raw.get("model_type"), str(top.raw.get("architectures") or "none")
    if model_type == MODEL_TYPE or (model_type is None and "VibeVoiceStreaming" in architectures):
        return
    found = f"model_type {model_type!r}, architectures {architectures}"
    if "ASR" in architectures or "asr" in str(model_type):
        found += " (VibeVoice-ASR, a speech recogniser)"
    elif "semantic_tokenizer_config" in top.raw:
        found += " (VibeVoice-1.5B or -7B, which do not stream)"
    raise WrongCheckpoint(f"{top.source}: found {found}; expected {EXPECTED_MODEL}")


def _language(section: _Section) -> LanguageConfig:
    section.require("model_type", "qwen2")
    section.require("hidden_act", "silu")
    section.require("use_sliding_window", False)
    section.require("rope_scaling", None)
    hidden, heads = section.integer("hidden_size"), section.integer("num_attention_heads")
    config = LanguageConfig(
        hidden=hidden,
        intermediate=section.integer("intermediate_size"),
        layers=section.integer("num_hidden_layers", at_most=MAX_LAYERS),
        heads=heads,
        kv_heads=section.integer("num_key_value_heads"),
        head_dim=section.integer("head_dim", hidden // heads),
        vocabulary=section.integer("vocab_size"),
        max_positions=section.integer("max_position_embeddings"),
        rope_theta=section.number("rope_theta"),
        norm_eps=section.number("rms_norm_eps"),
    )
    if hidden % heads or heads % config.kv_heads or config.head_dim % 2:
        raise WrongCheckpoint(
            f"{section.source}: hidden_size {hidden}, num_attention_heads {heads}, num_key_value_heads"
            f" {config.kv_heads} do not divide into heads of an even size"
        )
    return config


def _diffusion(section: _Section, hidden: int) -> DiffusionConfig:
    section.require("hidden_size", hidden)
    section.require("prediction_type", "v_prediction")
    section.require("ddpm_beta_schedule", "cosine")
    return DiffusionConfig(
        layers=section.integer("head_layers", at_most=MAX_LAYERS),
        ffn=int(hidden * section.number("head_ffn_ratio")),
        norm_eps=section.number("rms_norm_eps"),
        train_steps=section.integer("ddpm_num_steps"),
        default_steps=section.integer("ddpm_num_inference_steps"),
    )


def _decoder(section: _Section) -> DecoderConfig:
    for key, value in (
        ("causal", True),
        ("channels", 1),
        ("conv_bias", True),
        ("conv_norm", "none"),
        ("pad_mode", "constant"),
        ("layernorm", "RMSNorm"),
        ("layernorm_elementwise_affine", True),
        ("mixer_layer", "depthwise_conv"),
        ("disable_last_norm", True),
    ):
        section.require(key, value)
    strides = section.integers("decoder_ratios") or section.integers("encoder_ratios")
    depths = section.integers("decoder_depths") or section.integers("encoder_depths")[::-1]
    if not strides or len(depths) != len(strides) + 1:
        raise WrongCheckpoint(
            f"{section.source}: {len(depths)} decoder depths for {len(strides)} decoder ratios;"
            " expected at least one ratio and one depth more than ratios"
        )
    return DecoderConfig(section.integer("decoder_n_filters"), strides, depths, section.number("layernorm_eps"))


@dataclass(frozen=True, slots=True)
class _Section:
    """One JSON object of the file, and how its values are asked for."""

    raw: Mapping[str, object]
    source: str

    def section(self, key: str) -> _Section:
        value = self.raw.get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return _Section(value, f"{self.source}: {key}")

    def integer(self, key: str, default: int | None = None, at_most: int = 2**24) -> int:
        value = self.raw.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= at_most:
            raise self.wrong(key, f"a whole number from 1 to {at_most}")
        return value

    def number(self, key: str) -> float:
        value = self.raw.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            raise self.wrong(key, "a positive number")
        return float(value)

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of numbers, or text such as "3-3-8"; absent or null is empty."""
        value = self.raw.get(key)
        items = value.split("-") if isinstance(value, str) else value if value is not None else []
        try:
            numbers = tuple(int(item) for item in items)  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            raise self.wrong(key, 'positive whole numbers, as a list or as "3-3-8"') from None
        if not all(0 < number <= MAX_LAYERS for number in numbers) or len(numbers) > MAX_STAGES:
            raise self.wrong(key, f"at most {MAX_STAGES} whole numbers from 1 to {MAX_LAYERS}")
        return numbers

    def require(self, key: str, value: object) -> None:
        """A key that may be absent, but if it is there can only have this value."""
        if key in self.raw and self.raw[key] != value:
            raise self.wrong(key, repr(value))

    def wrong(self, key: str, expected: str) -> WrongCheckpoint:
        given = f"is {self.raw[key]!r:.80}" if key in self.raw else "is missing"
        return WrongCheckpoint(f"{self.source}: {key} {given}; expected {expected}")
