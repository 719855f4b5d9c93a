"""Published voices convert byte for byte, and what was converted stays verifiable."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from preset_files import HEAD_DIM, HEADS, HIDDEN, LAYERS, POSITIONS, Preset, list_

from tts_plugin import preset
from tts_plugin.preset import MODELS, WrongPreset, convert, git_blob, parse_preset, published_blobs, verify
from tts_plugin.weights import read_header

REAL_VOICES = sorted((Path(__file__).parents[3] / "shared" / "voices").glob("*.pt"))


@pytest.mark.skipif(not REAL_VOICES, reason="the published voices are not beside this repository")
@pytest.mark.parametrize("path", REAL_VOICES, ids=lambda path: path.stem)
def test_published_voice_converts_and_verifies(path: Path, tmp_path: Path) -> None:
    manifest = convert(path, tmp_path)
    assert verify(tmp_path, path.stem.lower()) == manifest
    assert manifest.published
    assert manifest.layers == {"lm": 4, "tts_lm": 20, "neg_lm": 4, "neg_tts_lm": 20}
    shapes = {key: entry.shape for key, entry in read_header(tmp_path / f"{manifest.voice}.safetensors").items()}
    assert len(shapes) == 4 + 2 * (4 + 20) * 2
    assert shapes["tts_lm.key_cache.19"] == (1, 2, manifest.positions["tts_lm"], 64)
    assert shapes["tts_lm.last_hidden_state"] == (1, manifest.positions["tts_lm"], 896)


@pytest.mark.skipif(not REAL_VOICES, reason="the published voices are not beside this repository")
def test_published_voices_share_one_negative_branch() -> None:
    negatives = [parse_preset(path.read_bytes(), path.name)["neg_tts_lm.value_cache.7"] for path in REAL_VOICES]
    assert all(np.array_equal(negative, negatives[0]) for negative in negatives)


def test_small_preset_gives_its_numbers_under_the_names_of_the_loader() -> None:
    tensors = parse_preset(Preset().packed(), "voice.pt")
    assert tensors["lm.last_hidden_state"].shape == (1, POSITIONS, HIDDEN)
    assert tensors["neg_tts_lm.value_cache.1"].shape == (1, HEADS, POSITIONS, HEAD_DIM)
    assert len(tensors) == 4 * (1 + 2 * LAYERS)


def test_strided_tensor_is_laid_out_straight() -> None:
    made = Preset()
    shape, strides = (1, HEADS, POSITIONS, HEAD_DIM), (24, HEAD_DIM, HEADS * HEAD_DIM, 1)
    keys = list_(*(made.tensor(*shape, strides=strides) for _ in range(LAYERS)))
    made.models["lm"] = made.model(keys=keys)
    straight = np.arange(24).reshape(1, POSITIONS, HEADS, HEAD_DIM).transpose(0, 2, 1, 3)
    assert np.array_equal(parse_preset(made.packed(), "voice.pt")["lm.key_cache.0"], straight)


def test_conversion_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    source = tmp_path / "My_Voice.pt"
    source.write_bytes(Preset().packed())
    first, second = convert(source, tmp_path / "a"), convert(source, tmp_path / "b")
    assert first == second
    assert first.voice == "my_voice"
    assert not first.published
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["my_voice.json", "my_voice.safetensors"]


def test_published_name_with_other_bytes_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "en-Emma_woman.pt"
    source.write_bytes(Preset().packed())
    with pytest.raises(WrongPreset, match="the published en-Emma_woman.pt has 9876ca31"):
        convert(source, tmp_path)


def test_git_blob_is_gits_own_id() -> None:
    assert git_blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_the_25_published_voices_are_known() -> None:
    assert len(published_blobs()) == 25
    assert all(len(blob) == 40 for blob in published_blobs().values())


def test_a_changed_file_no_longer_verifies(tmp_path: Path) -> None:
    source = tmp_path / "v.pt"
    source.write_bytes(Preset().packed())
    convert(source, tmp_path)
    converted = tmp_path / "v.safetensors"
    converted.write_bytes(converted.read_bytes()[:-1] + b"!")
    with pytest.raises(WrongPreset, match="its manifest says"):
        verify(tmp_path, "v")


@pytest.mark.parametrize("voice", ["../v", "/etc/passwd", "a/b", "V", "", "x" * 65, "v\0"])
def test_verify_takes_no_path_for_a_voice(tmp_path: Path, voice: str) -> None:
    with pytest.raises(WrongPreset, match="not a voice id"):
        verify(tmp_path, voice)


@pytest.mark.parametrize("stem", ["..", "a b", "é", "-x", "x" * 65])
def test_a_file_name_that_makes_no_voice_id_is_refused(tmp_path: Path, stem: str) -> None:
    source = tmp_path / f"{stem}.pt"
    source.write_bytes(Preset().packed())
    with pytest.raises(WrongPreset, match="makes no voice id"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reading_imports_nothing_that_a_file_names() -> None:
    before = set(sys.modules)
    parse_preset(Preset().packed(), "voice.pt")
    assert not {module for module in set(sys.modules) - before if module.startswith(("torch", "transformers"))}


def test_manifest_is_plain_json(tmp_path: Path) -> None:
    source = tmp_path / "v.pt"
    source.write_bytes(Preset().packed())
    convert(source, tmp_path)
    manifest = json.loads((tmp_path / "v.json").read_text())
    assert manifest["positions"] == dict.fromkeys(MODELS, POSITIONS)
    assert len(manifest["source_sha256"]) == len(manifest["sha256"]) == 64


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "v.pt"
    with source.open("wb") as file:
        file.truncate(preset.MAX_FILE_BYTES + 1)
    with pytest.raises(WrongPreset, match="is larger than"):
        convert(source, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongPreset, match="No such file"):
        convert(tmp_path / "v.pt", tmp_path)
