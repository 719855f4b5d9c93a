"""The builder: matrix products of every precision give what their weights say, row by row, from memory or a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tts_plugin.engine.onnx.blocks import quantised, restored
from tts_plugin.engine.onnx.builder import PRECISIONS, Builder, Precision

RANDOM = np.random.default_rng(7)
WEIGHT = RANDOM.standard_normal((48, 64)).astype(np.float32)
BIAS = RANDOM.standard_normal(48).astype(np.float32)
X = RANDOM.standard_normal((3, 64)).astype(np.float32)
TOLERANCE = {"float32": 1e-5, "int8": 0.02, "int4": 0.2}  # of the result's rms


def product(precision: Precision, x: np.ndarray, path: Path | None = None) -> np.ndarray:
    builder = Builder(path)
    y = builder.linear(builder.input("x", "float32", ["rows", x.shape[1]]), WEIGHT[:, : x.shape[1]], BIAS, precision)
    builder.output(y, "y", "float32", ["rows", 48])
    return builder.session().run(["y"], {"x": x})[0]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_linear_layer_is_the_matrix_product(precision: Precision) -> None:
    exact = X @ WEIGHT.T + BIAS
    assert np.abs(product(precision, X) - exact).max() < TOLERANCE[precision] * exact.std() * 3


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_in_a_file_are_those_in_memory(precision: Precision, tmp_path: Path) -> None:
    assert np.array_equal(product(precision, X, tmp_path / "graph.onnx"), product(precision, X))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_is_the_same_beside_an_outlier(precision: Precision) -> None:
    beside = X.copy()
    beside[2] *= 1000
    alone = product(precision, X[:2])
    assert np.abs(product(precision, beside)[:2] - alone).max() < 1e-5


@pytest.mark.parametrize("bits", [8, 4])
def test_a_number_is_off_by_at_most_a_step(bits: int) -> None:
    packed, scales = quantised(WEIGHT, bits)
    off = np.abs(restored(packed, scales, bits) - WEIGHT).reshape(48, -1, 32)
    assert (off <= np.abs(scales)[..., None] * (0.5 if bits == 8 else 1.0) + 1e-6).all()
    assert off.max() > 0


def test_rows_that_blocks_do_not_divide_stay_exact() -> None:
    exact = X[:, :48] @ WEIGHT[:, :48].T + BIAS
    assert np.abs(product("int8", X[:, :48]) - exact).max() < 1e-4


def test_a_row_of_zeros_stays_zero() -> None:
    packed, scales = quantised(np.zeros((2, 64), np.float32), 4)
    assert not restored(packed, scales, 4).any()
