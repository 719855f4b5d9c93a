"""8-bit products with a scale per row: how exact they are, and that a row is alone with its numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tts_plugin.engine.onnx.builder import Builder
from tts_plugin.engine.onnx.row_scaled import quantised_rows, row_scaled

RANDOM = np.random.default_rng(11)
WEIGHT = RANDOM.standard_normal((80, 256)).astype(np.float32)
X = RANDOM.standard_normal((4, 256)).astype(np.float32)
KINDS: dict[str, tuple[dict[str, Any], float]] = {  # and the error allowed, of the result's rms
    "one digit": ({}, 0.025),
    "two digits": ({"digits": 2}, 0.012),
    "after GELU": ({"after_gelu": True}, 0.02),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def product(x: np.ndarray, weight: np.ndarray, **kind: Any) -> np.ndarray:
    builder = Builder()
    y = row_scaled(builder, builder.input("x", "float32", ["rows", x.shape[1]]), weight, **kind)
    builder.output(y, "y", "float32", ["rows", len(weight)])
    return np.asarray(builder.session().run(["y"], {"x": x})[0])


def error(ours: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(ours - exact) / np.linalg.norm(exact))


def gelu(x: np.ndarray) -> np.ndarray:
    return (x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))).astype(np.float32)


@each_kind
def test_row_scaled_product_is_the_matrix_product(kind: str) -> None:
    options, allowed = KINDS[kind]
    x = gelu(2 * X) if kind == "after GELU" else X
    assert 0 < error(product(x, WEIGHT, **options), x @ WEIGHT.T) <= allowed


@each_kind
def test_row_scaled_row_is_bit_for_bit_the_same_beside_an_outlier(kind: str) -> None:
    x = gelu(2 * X)
    beside = x.copy()
    beside[3] *= 1e6
    options = KINDS[kind][0]
    assert np.array_equal(product(beside, WEIGHT, **options)[:3], product(x, WEIGHT, **options)[:3])


def test_second_digit_keeps_what_an_outlier_in_the_row_would_drown() -> None:
    x = X.copy()
    x[:, 7] = 200
    narrow = WEIGHT.copy()
    narrow[:, 7] = 0
    exact = x @ narrow.T
    assert error(product(x, narrow), exact) > 0.2
    assert error(product(x, narrow, digits=2), exact) <= 0.012


@each_kind
def test_largest_numbers_do_not_saturate(kind: str) -> None:
    """A signed 8-bit product of these is wrong on a CPU that adds pairs up in 16 bits."""
    x, weight = np.ones((2, 256), np.float32), np.ones((16, 256), np.float32)
    assert np.abs(product(x, weight, **KINDS[kind][0]) - 256).max() <= 1


@each_kind
def test_row_of_zeros_gives_zeros(kind: str) -> None:
    assert not product(np.zeros((1, 256), np.float32), WEIGHT, **KINDS[kind][0]).any()


def test_lowest_value_of_gelu_is_not_cut_off() -> None:
    x = np.full((1, 256), -0.16997, np.float32)
    assert error(product(x, WEIGHT, after_gelu=True), x @ WEIGHT.T) <= 0.02


def test_weights_are_off_by_at_most_half_a_step() -> None:
    numbers, scales = quantised_rows(WEIGHT)
    off = np.abs((numbers.astype(np.float32) - 128) * scales[:, None] - WEIGHT)
    assert (off <= 0.501 * scales[:, None]).all()
    assert off.max() > 0
