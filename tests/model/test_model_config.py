"""config.json: what is read of it, and what is refused by name."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tts_plugin.engine.model.config import WrongCheckpoint, parse_config, read_config

TINY = Path(__file__).parent / "golden" / "tiny.config.json"


@pytest.fixture
def raw() -> dict:
    return copy.deepcopy(json.loads(TINY.read_text(encoding="utf-8")))


def test_config_gives_layers_strides_and_depths_of_the_decoder_reversed_from_the_encoder(raw: dict) -> None:
    config = parse_config(raw)
    assert (config.base_layers, config.tts_layers, config.language.head_dim) == (2, 2, 16)
    assert (config.decoder.strides, config.decoder.depths) == ((5, 4, 2), (2, 1, 1, 1))
    assert config.decoder.channels == (64, 32, 16, 8)
    assert config.samples_per_latent == 40


def test_model_type_may_be_missing_if_the_architecture_says_it(raw: dict) -> None:
    del raw["model_type"]
    raw["architectures"] = ["VibeVoiceStreamingForConditionalGenerationInference"]
    assert parse_config(raw).latent == 16


@pytest.mark.parametrize(
    ("model_type", "architecture", "says"),
    [
        ("vibevoice", "VibeVoiceForConditionalGeneration", "found model_type 'vibevoice'.*1.5B or -7B"),
        ("vibevoice", "VibeVoiceForASRTraining", "VibeVoice-ASR"),
        ("vibevoice_asr", "VibeVoiceAsrForConditionalGeneration", "VibeVoice-ASR"),
        ("qwen2", "Qwen2ForCausalLM", "found model_type 'qwen2'"),
    ],
)
def test_another_model_is_refused_with_what_was_found_and_expected(
    raw: dict, model_type: str, architecture: str, says: str
) -> None:
    raw |= {"model_type": model_type, "architectures": [architecture], "semantic_tokenizer_config": {}}
    with pytest.raises(WrongCheckpoint, match=rf"{says}.*expected .*VibeVoice-Realtime-0\.5B"):
        parse_config(raw)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("decoder_config", "hidden_size", "64"),
        ("decoder_config", "hidden_size", -1),
        ("decoder_config", "num_hidden_layers", 2**40),
        ("decoder_config", "rope_theta", True),
        ("decoder_config", "num_attention_heads", 5),
        ("decoder_config", "rope_scaling", {"type": "yarn"}),
        ("decoder_config", "use_sliding_window", True),
        ("acoustic_tokenizer_config", "mixer_layer", "conv"),
        ("acoustic_tokenizer_config", "decoder_ratios", [5, 0]),
        ("acoustic_tokenizer_config", "encoder_depths", "1-2"),
        ("acoustic_tokenizer_config", "encoder_depths", "1-x"),
        ("diffusion_head_config", "prediction_type", "epsilon"),
        ("diffusion_head_config", "latent_size", 17),
    ],
)
def test_a_value_that_cannot_be_built_is_refused_naming_its_section(
    raw: dict, section: str, key: str, value: object
) -> None:
    raw[section][key] = value
    with pytest.raises(WrongCheckpoint, match=section):
        parse_config(raw)


def test_a_missing_section_is_refused(raw: dict) -> None:
    del raw["diffusion_head_config"]
    with pytest.raises(WrongCheckpoint, match="diffusion_head_config is missing"):
        parse_config(raw)


@pytest.mark.parametrize("layers", [0, 4, 20])
def test_tts_layers_must_leave_base_layers(raw: dict, layers: int) -> None:
    raw["tts_backbone_num_hidden_layers"] = layers
    with pytest.raises(WrongCheckpoint, match="tts_backbone_num_hidden_layers"):
        parse_config(raw)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, '"\udcff"'])
def test_a_file_that_is_not_a_json_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(WrongCheckpoint, match=r"config\.json"):
        read_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongCheckpoint, match="No such file"):
        read_config(tmp_path / "config.json")
