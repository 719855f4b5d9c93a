"""Checkpoints, judged by their headers: every name, shape and byte is accounted for, or the file is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest

from tts_plugin.engine.model.config import DecoderConfig, DiffusionConfig, LanguageConfig, ModelConfig, WrongCheckpoint
from tts_plugin.weights import check_checkpoint, expected_tensors, read_header

CONFIG = ModelConfig(
    LanguageConfig(8, 8, 2, 2, 1, 4, 16, 64, 1e6, 1e-6), 1, 4, DiffusionConfig(1, 8, 1e-5, 1000, 5),
    DecoderConfig(1, (2, 2), (1, 1, 1), 1e-5),
)  # fmt: skip
PUBLISHED = ModelConfig(
    LanguageConfig(896, 4864, 24, 14, 2, 64, 151_936, 8_192, 1e6, 1e-6), 20, 64,
    DiffusionConfig(4, 2_688, 1e-5, 1_000, 20), DecoderConfig(32, (8, 5, 5, 4, 2, 2), (8, 3, 3, 3, 3, 3, 3), 1e-5),
)  # fmt: skip
NAMES_AND_SHAPES_SHA256 = "e9e45f6538881b41de52cdbcc90e0b997c2bae39099c51d3d0c4896e535a6026"


def write(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str = "BF16", size: int = 2) -> Path:
    header, place = {}, 0
    for name, shape in shapes.items():
        end = place + prod(shape) * size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, end]}
        place = end
    return write_raw(path, json.dumps({"__metadata__": {"format": "pt"}, **header}).encode(), bytes(place))


def write_raw(path: Path, header: bytes, data: bytes) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


@pytest.fixture
def shapes() -> dict[str, tuple[int, ...]]:
    return expected_tensors(CONFIG)


def test_published_model_has_605_tensors_and_1017626724_parameters_by_name_and_shape() -> None:
    shapes = expected_tensors(PUBLISHED)
    assert (len(shapes), sum(map(prod, shapes.values()))) == (605, 1_017_626_724)
    lines = "\n".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
    assert hashlib.sha256(lines.encode()).hexdigest() == NAMES_AND_SHAPES_SHA256


@pytest.mark.parametrize(("dtype", "size"), [("BF16", 2), ("F16", 2), ("F32", 4)])
def test_a_whole_checkpoint_is_accepted(tmp_path: Path, shapes: dict, dtype: str, size: int) -> None:
    checkpoint = check_checkpoint(write(tmp_path / "m.safetensors", shapes, dtype, size), CONFIG)
    assert {name: entry.shape for name, entry in checkpoint.tensors.items()} == shapes


def test_a_missing_tensor_is_named(tmp_path: Path, shapes: dict) -> None:
    del shapes["model.acoustic_connector.norm.weight"]
    with pytest.raises(
        WrongCheckpoint, match=r"found \d+ tensors, expected .* 1 missing \(model.acoustic_connector.no"
    ):
        check_checkpoint(write(tmp_path / "m.safetensors", shapes), CONFIG)


def test_an_unknown_tensor_is_named(tmp_path: Path, shapes: dict) -> None:
    with pytest.raises(WrongCheckpoint, match=r"1 unknown \(model.surprise\)"):
        check_checkpoint(write(tmp_path / "m.safetensors", shapes | {"model.surprise": (2,)}), CONFIG)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path: Path, shapes: dict) -> None:
    shapes["tts_eos_classifier.fc1.weight"] = (8, 9)
    with pytest.raises(WrongCheckpoint, match=r"fc1.weight is \(8, 9\), expected \(8, 8\)"):
        check_checkpoint(write(tmp_path / "m.safetensors", shapes), CONFIG)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("model.semantic_tokenizer.encoder.head.conv.conv.weight", "1.5B, -7B or -ASR"),
        ("lm_head.weight", "1.5B, -7B or -ASR"),
        ("model.acoustic_tokenizer.encoder.head.conv.conv.weight", "with its acoustic encoder"),
    ],
)
def test_another_model_is_recognised_by_its_tensors(tmp_path: Path, shapes: dict, name: str, model: str) -> None:
    with pytest.raises(WrongCheckpoint, match=f"this looks like .*{model}"):
        check_checkpoint(write(tmp_path / "m.safetensors", shapes | {name: (2, 2)}), CONFIG)


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, shapes: dict) -> None:
    whole = write(tmp_path / "m.safetensors", shapes).read_bytes()
    for length in (0, 5, 8, 100, len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"{length}.safetensors"
        path.write_bytes(whole[:length])
        with pytest.raises(WrongCheckpoint, match=r"cut short|does not fit"):
            check_checkpoint(path, CONFIG)


def test_bytes_after_the_last_tensor_are_refused(tmp_path: Path, shapes: dict) -> None:
    path = write(tmp_path / "m.safetensors", shapes)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WrongCheckpoint, match="longer than its header says"):
        check_checkpoint(path, CONFIG)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"nonsense",
        b"[" * 50_000,
        b'{"a": 1}',
        b'{"a": {"dtype": "BF16", "shape": [-2], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 0]}}',
        b'{"a": {"dtype": "BF16", "shape": [9999999999, 9999999999], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, "b": {"dtype": "BF16", "shape": [2], "data_offsets": [2, 6]}}',  # noqa: E501
    ],
)
def test_a_crafted_header_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(WrongCheckpoint, match=r"m\.safetensors"):
        read_header(write_raw(tmp_path / "m.safetensors", header, bytes(6)))


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None], ids=["folder", "missing"])
def test_what_is_not_a_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "m.safetensors"
    make(path)
    with pytest.raises(WrongCheckpoint, match="cannot read"):
        read_header(path)


def test_a_pickle_under_the_name_of_safetensors_is_refused_unopened(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00exit\x85R." * 20)
    with pytest.raises(WrongCheckpoint, match="not a whole safetensors file"):
        read_header(path)
