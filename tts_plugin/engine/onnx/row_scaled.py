"""Matrix products of 8-bit numbers with one scale per row of either side: what one row holds never moves another.

Faster than MatMulNBits of 8 bits on AVX2: 1.5 to 3 times, the more rows the more. Weights are unsigned around 128,
because products of signed ones saturate on CPUs without VNNI: so the integers, and with them the result, are the same
on every CPU. One outlier costs its whole row precision; where that matters, x is written with two digits of 8 bits,
which leaves only the rounding of the weights.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.onnx.builder import Builder

MIDDLE, LARGEST = 128, 127
GELU_LOWEST = 0.17  # GELU never gives less than minus this
_GELU_ZERO = 32  # so its rows can spend 223 of 255 numbers on what is above zero
_TINY = 1e-30
_MICROSOFT = "com.microsoft"


def row_scaled(
    builder: Builder, x: str, weight: NDArray[np.float32], *, digits: Literal[1, 2] = 1, after_gelu: bool = False
) -> str:
    """x [..., in] times weight [out, in]. `after_gelu`, of one digit only: x has no number below -GELU_LOWEST."""
    product = RowScaled(builder, weight)
    if digits == 2:
        return product.of_two_digits(x)
    return product.after_gelu(x) if after_gelu else product.of_one_digit(x)


def quantised_rows(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """weight [out, in] → numbers [out, in] around 128 and scales [out]."""
    scales = np.maximum(np.abs(weight).max(axis=1), _TINY) / LARGEST
    numbers = np.rint(weight / scales[:, None]) + MIDDLE
    return numbers.astype(np.uint8), scales.astype(np.float32)


class RowScaled:
    """A weight that several products share."""

    def __init__(self, builder: Builder, weight: NDArray[np.float32]) -> None:
        self._b = builder
        numbers, scales = quantised_rows(weight)
        self._numbers, self._scales = builder.weight(numbers.T), builder.weight(scales)

    def of_one_digit(self, x: str) -> str:
        scale = self._scale(x)
        digit = self._digit(self._b.op("Div", x, scale), 1 / LARGEST)
        return self._scaled(self._times(digit, 1 / LARGEST), scale)

    def after_gelu(self, x: str) -> str:
        b, top = self._b, 255 - _GELU_ZERO
        largest = b.op("ReduceMax", x, b.weight(np.array([-1])), keepdims=1)
        scale = b.op("Max", largest, self._number(GELU_LOWEST * top / _GELU_ZERO))
        digit = self._digit(b.op("Div", x, scale), 1 / top, _GELU_ZERO)
        return self._scaled(self._times(digit, 1 / top, _GELU_ZERO), scale)

    def of_two_digits(self, x: str) -> str:
        """The second digit is what the first leaves over, in steps 254 times as small; both are rows of one product."""
        b, step, finer = self._b, 1 / LARGEST, 2.0 * LARGEST
        first = b.weight(np.array([0]))
        scale = self._scale(x)
        share = b.op("Div", x, scale)
        high = self._digit(share, step)
        rest = b.op(
            "Sub", share, b.op("DequantizeLinear", high, self._number(step), b.weight(np.array(MIDDLE, np.uint8)))
        )
        low = self._digit(rest, step / finer)
        both = b.op("Concat", b.op("Unsqueeze", high, first), b.op("Unsqueeze", low, first), axis=0)
        high, low = b.op("Split", self._times(both, step), outputs=2, axis=0, num_outputs=2)
        total = b.op("Add", high, b.op("Mul", low, self._number(1 / finer)))
        return self._scaled(b.op("Squeeze", total, first), scale)

    def _scale(self, x: str) -> str:
        b = self._b
        largest = b.op("ReduceMax", b.op("Abs", x), b.weight(np.array([-1])), keepdims=1)
        return str(b.op("Max", largest, self._number(_TINY)))

    def _digit(self, share: str, step: float, zero: int = MIDDLE) -> str:
        return str(self._b.op("QuantizeLinear", share, self._number(step), self._b.weight(np.array(zero, np.uint8))))

    def _times(self, digit: str, step: float, zero: int = MIDDLE) -> str:
        b = self._b
        zeros = b.weight(np.array(zero, np.uint8)), b.weight(np.array(MIDDLE, np.uint8))
        inputs = digit, self._numbers, self._number(step), self._scales, *zeros
        return str(b.op("MatMulIntegerToFloat", *inputs, domain=_MICROSOFT))

    def _scaled(self, product: str, scale: str) -> str:
        return str(self._b.op("Mul", product, scale))

    def _number(self, number: float) -> str:
        return self._b.weight(np.array(number, np.float32))
