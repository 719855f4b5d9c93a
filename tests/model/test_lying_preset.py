"""Voice files whose numbers lie, or that are well made but no voice."""

from __future__ import annotations

import pytest
from preset_files import (
    HEAD_DIM,
    HEADS,
    HIDDEN,
    LAYERS,
    POSITIONS,
    Preset,
    dict_,
    list_,
    name,
    number,
    refused,
    text,
    tuple_,
)

from tts_plugin.preset import MODELS, parse_preset


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((1, HEADS, 10**12, HEAD_DIM), (1, 1, 1, 1), 0),
        ((1, HEADS, POSITIONS, HEAD_DIM), (24, 12, 4, 10**18), 0),
        ((1, HEADS, POSITIONS, HEAD_DIM), (24, 12, 4, 1), 1),
        ((1, HEADS, POSITIONS, HEAD_DIM), (24, 12, 4, 1), -1),
        ((1, HEADS, POSITIONS, HEAD_DIM), (24, 12, 4, 0), 0),
        ((1, HEADS, POSITIONS, HEAD_DIM), (24, 12, 4, -1), 0),
        ((1, HEADS, POSITIONS), (24, 12, 4), 0),
        ((1, HEADS, 2**80, HEAD_DIM), (1, 1, 1, 1), 2**80),
    ],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    made = Preset()
    honest = made.tensor(1, HEADS, POSITIONS, HEAD_DIM)
    honest_numbers = tuple_(*map(number, (1, HEADS, POSITIONS, HEAD_DIM))) + tuple_(*map(number, (24, 12, 4, 1)))
    lying_numbers = tuple_(*map(number, shape)) + tuple_(*map(number, strides))
    lying = honest.replace(b"Q" + number(0) + honest_numbers, b"Q" + number(offset) + lying_numbers)
    assert lying != honest
    made.models["lm"] = made.model(keys=list_(lying, honest))
    refused(made.packed(), r"lm\.key_cache\.0")


def test_a_stride_of_a_dimension_of_one_may_be_any_number() -> None:
    made = Preset()
    keys = list_(*(made.tensor(1, HEADS, POSITIONS, HEAD_DIM, strides=(2**70, 12, 4, 1)) for _ in range(LAYERS)))
    made.models["lm"] = made.model(keys=keys)
    assert parse_preset(made.packed(), "voice.pt")["lm.key_cache.0"].shape == (1, HEADS, POSITIONS, HEAD_DIM)


def test_a_storage_shorter_than_it_says_is_refused() -> None:
    made = Preset()
    made.models["lm"] = made.model(hidden=made.tensor(1, POSITIONS, HIDDEN, count=2**40))
    refused(made.packed(), "a storage of 48 bytes for 1099511627776 numbers")


def test_another_number_type_is_refused() -> None:
    made = Preset(kind=name("torch", "FloatStorage"))
    refused(made.packed(), "names 'torch FloatStorage'")


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "..", "-1", "٣", "999"])
def test_a_storage_key_is_never_a_path(key: str) -> None:
    made = Preset()
    hidden = made.tensor(1, POSITIONS, HIDDEN).replace(text("0"), text(key))
    made.models["lm"] = made.model(hidden=hidden)
    refused(made.packed(), "no storage")


def test_numbers_that_are_not_finite_are_refused() -> None:
    made = Preset()
    data = made.pickled()
    made.storages[0] = b"\x80\x7f" * (len(made.storages[0]) // 2)
    refused(made.packed(data), "infinite numbers or NaN")


def test_a_missing_model_is_refused() -> None:
    made = Preset()
    parts = {model: made.model() for model in MODELS[:3]}
    refused(made.packed(b"\x80\x02" + dict_(**parts) + b"."), "expected a dict of lm, tts_lm, neg_lm, neg_tts_lm")


def test_layers_of_different_lengths_are_refused() -> None:
    made = Preset()
    keys = list_(made.tensor(1, HEADS, POSITIONS, HEAD_DIM), made.tensor(1, HEADS, POSITIONS + 1, HEAD_DIM))
    made.models["tts_lm"] = made.model(keys=keys)
    refused(made.packed(), "tts_lm: caches of shapes")


def test_more_keys_than_values_are_refused() -> None:
    made = Preset()
    made.models["lm"] = made.model(keys=list_(*(made.tensor(1, HEADS, POSITIONS, HEAD_DIM) for _ in range(3))))
    refused(made.packed(), "3 layers of keys, 2 of values")


@pytest.mark.parametrize("part", [b"N", b"]", b"}", text("x"), number(1)])
def test_a_model_of_another_kind_is_refused(part: bytes) -> None:
    made = Preset()
    made.models["lm"] = part
    refused(made.packed(), r"lm is .*, expected transformers\.modeling_outputs\.BaseModelOutputWithPast")
