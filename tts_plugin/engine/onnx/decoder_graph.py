"""The acoustic decoder as a graph: one latent of every utterance in, its samples out. Knows no state's owner.

Channels last, one frame per call, so all lengths are known. Transposed convolutions are matrix products over this
column and the one before. Folded into weights: norms into what follows them, gammas into what they scale; biases and
residuals are added inside the next norm. The past of a convolution is kept as it left the (weightless) norm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.onnx.builder import Builder, Precision
from tts_plugin.engine.onnx.decoder import PAST, state_shapes
from tts_plugin.engine.onnx.row_scaled import RowScaled

Weights = Mapping[str, NDArray[np.float32]]
Product = Literal["float32", "digits", "rows", "int4"]  # digits, rows: 8 bits, see row_scaled.py
Products = tuple[tuple[Product, Product], ...]  # per stage: of its upsampler, of its blocks
KERNEL = PAST + 1
EXACT_STAGES = 3  # the last ones: of few channels, where 8 bits gain no time
SHORT = 64  # columns up to which a depthwise convolution is cheaper as seven products than transposed
TILE = 110_000  # numbers of an utterance between two products of a block: so that several utterances' stay in the cache
_DECODER = "model.acoustic_tokenizer.decoder"
_MICROSOFT = "com.microsoft"


def products(config: ModelConfig, precision: Precision) -> Products:
    """Upsamplers carry all of the sound and blocks add to it, so upsamplers are the more exact ones."""
    stages = len(config.decoder.depths)
    exact = stages if precision == "float32" else min(EXACT_STAGES, stages - 1)
    wide: list[tuple[Product, Product]] = [("digits", "rows")] * (stages - exact)
    narrow: list[tuple[Product, Product]] = [("float32", "float32")] * exact
    if precision == "int4":
        wide[0] = ("digits", "int4")
    return (*wide, *narrow)


def build_decoder(builder: Builder, weights: Weights, config: ModelConfig, precision: Precision) -> None:
    """latents [rows, latent] and past_k [rows, columns, channels] → samples [rows, samples] and after_k."""
    _Graph(builder, weights, config, products(config, precision)).run()


@dataclass(frozen=True, slots=True)
class _Sum:
    """x + add + bias, not added up yet: the next norm does it in passing."""

    x: str
    add: str
    bias: NDArray[np.float32]


class _Graph:
    def __init__(self, builder: Builder, weights: Weights, config: ModelConfig, products: Products) -> None:
        self._b, self._weights, self._config, self._products = builder, weights, config, products
        self._states = 0
        self._shapes = state_shapes(config)

    def run(self) -> None:
        b, config, decoder = self._b, self._config, self._config.decoder
        latents = b.input("latents", "float32", ["rows", config.latent])
        x, columns = self._stem(b.op("Unsqueeze", latents, self._ints(1))), 1
        for stage, depth in enumerate(decoder.depths):
            if stage:
                x = self._upsample(x, stage, columns)
                columns *= decoder.strides[stage - 1]
            x = self._stage(x, stage, depth, columns)
        samples = self._head(x, columns)
        b.output(samples, "samples", "float32", ["rows", columns])

    def _stem(self, x: str) -> str:
        b, channels = self._b, self._config.decoder.channels[0]
        weight, bias = self._parameters("upsample_layers.0.0.conv.conv")
        window = b.op("Reshape", self._window(x, 1), self._ints(0, 1, -1))  # [rows, 1, 7 * latent]
        return b.linear(window, weight.transpose(0, 2, 1).reshape(channels, -1), bias)

    def _upsample(self, x: str, stage: int, columns: int) -> str:
        b, channels = self._b, self._config.decoder.channels[stage]
        kernel, bias = self._parameters(f"upsample_layers.{stage}.0.convtr.convtr")
        window = self._window(x, columns)
        both = b.op("Concat", x, self._columns(window, 0, columns), axis=-1)
        spread = self._product(_as_matrix(kernel), self._products[stage][0])(both)
        return str(b.op("Add", b.op("Reshape", spread, self._ints(0, -1, channels)), b.weight(bias)))

    def _stage(self, x: str, stage: int, depth: int, columns: int) -> str:
        rest: str | _Sum = x
        for index in range(depth):
            rest = self._block(rest, f"stages.{stage}.{index}", self._products[stage][1], columns)
        assert isinstance(rest, _Sum)
        b = self._b
        return str(b.op("Add", rest.x, b.op("Add", rest.add, b.weight(rest.bias))))

    def _block(self, x: str | _Sum, name: str, product: Product, columns: int) -> _Sum:
        weights = self._weights
        normed, total = self._norm(x)
        kernel, bias = self._parameters(f"{name}.mixer.conv.conv.conv")
        gamma = weights[f"{_DECODER}.{name}.gamma"]
        kernel = kernel[:, 0] * (weights[f"{_DECODER}.{name}.norm.weight"] * gamma)[:, None]  # [channels, 7]
        mixed = self._depthwise(self._window(normed, columns), kernel, columns)
        normed, total = self._norm(_Sum(total, mixed, bias * gamma))
        return self._feed_forward(normed, total, name, product, columns)

    def _feed_forward(self, normed: str, total: str, name: str, product: Product, columns: int) -> _Sum:
        b, weights = self._b, self._weights
        weight, bias = self._parameters(f"{name}.ffn.linear1")
        widen = self._product(weight * weights[f"{_DECODER}.{name}.ffn_norm.weight"], product)
        shift = b.weight(bias)
        weight, bias = self._parameters(f"{name}.ffn.linear2")
        gamma = weights[f"{_DECODER}.{name}.ffn_gamma"]
        narrow = self._product(weight * gamma[:, None], product, after_gelu=True)
        tiles = _tiles(columns, columns * weight.shape[1])
        parts = b.op("Split", normed, outputs=tiles, axis=1, num_outputs=tiles) if tiles > 1 else [normed]
        made = [narrow(b.op("BiasGelu", widen(part), shift, domain=_MICROSOFT)) for part in parts]
        return _Sum(total, made[0] if tiles == 1 else b.op("Concat", *made, axis=1), bias * gamma)

    def _norm(self, x: str | _Sum) -> tuple[str, str]:
        """Normalised without a weight, and what was normalised."""
        b, eps = self._b, self._config.decoder.norm_eps
        if isinstance(x, str):
            ones = b.weight(np.ones(self._channels, np.float32))
            return b.op("SimplifiedLayerNormalization", x, ones, axis=-1, epsilon=eps), x
        ones = b.weight(np.ones(len(x.bias), np.float32))
        normed, _, _, total = b.op(
            "SkipSimplifiedLayerNormalization",
            x.x,
            x.add,
            ones,
            b.weight(x.bias),
            domain=_MICROSOFT,
            outputs=4,
            epsilon=eps,
        )
        return normed, total

    @property
    def _channels(self) -> int:
        """Of the convolution that comes next."""
        return self._shapes[self._states][1]

    def _depthwise(self, window: str, kernel: NDArray[np.float32], columns: int) -> str:
        """window [rows, 6 + columns, channels], kernel [channels, 7] → [rows, columns, channels]."""
        b = self._b
        if columns == 1:
            taps = b.op("Mul", window, b.weight(kernel.T))
            return str(b.op("ReduceSum", taps, self._ints(1), keepdims=1))
        if columns > SHORT:
            turned = b.op("Transpose", window, perm=[0, 2, 1])
            mixed = b.op("Conv", turned, b.weight(kernel[:, None]), group=len(kernel))
            return str(b.op("Transpose", mixed, perm=[0, 2, 1]))
        mixed = ""
        for tap in range(KERNEL):
            part = b.op("Mul", self._columns(window, tap, tap + columns), b.weight(kernel[:, tap]))
            mixed = b.op("Add", mixed, part) if mixed else part
        return str(mixed)

    def _head(self, x: str, columns: int) -> str:
        b = self._b
        weight, bias = self._parameters("head.conv.conv")
        turned = b.op("Transpose", self._window(x, columns), perm=[0, 2, 1])
        return str(b.op("Squeeze", b.op("Conv", turned, b.weight(weight), b.weight(bias)), self._ints(1)))

    def _product(self, weight: NDArray[np.float32], product: Product, after_gelu: bool = False) -> Callable[[str], str]:
        b = self._b
        if product == "digits":
            return RowScaled(b, weight).of_two_digits
        if product == "rows":
            rows = RowScaled(b, weight)
            return rows.after_gelu if after_gelu else rows.of_one_digit
        if product == "int4":
            return lambda x: b.linear(x, weight, None, "int4")
        turned = b.weight(weight.T)
        return lambda x: str(b.op("MatMul", x, turned))

    def _window(self, x: str, columns: int) -> str:
        """The past before x, on axis 1; its end is the past of the next call."""
        b, number = self._b, self._states
        past, channels = self._shapes[number]
        shape: list[int | str] = ["rows", past, channels]
        window = str(b.op("Concat", b.input(f"past_{number}", "float32", shape), x, axis=1))
        b.output(self._columns(window, columns, columns + past), f"after_{number}", "float32", shape)
        self._states += 1
        return window

    def _columns(self, x: str, start: int, end: int) -> str:
        return str(self._b.op("Slice", x, self._ints(start), self._ints(end), self._ints(1)))

    def _parameters(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._weights[f"{_DECODER}.{name}.weight"], self._weights[f"{_DECODER}.{name}.bias"]

    def _ints(self, *numbers: int) -> str:
        return self._b.weight(np.array(numbers, np.int64))


def _tiles(columns: int, numbers: int) -> int:
    """Into how many equal parts columns are cut."""
    tiles = 1
    while numbers > TILE * tiles and columns % (2 * tiles) == 0:
        tiles *= 2
    return tiles


def _as_matrix(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """[in, out, 2 * stride] of a transposed convolution → [stride * out, 2 * in]: this column, then the one before."""
    inputs, outputs, taps = kernel.shape
    halves = kernel.reshape(inputs, outputs, 2, taps // 2)
    return halves.transpose(3, 1, 2, 0).reshape(taps // 2 * outputs, 2 * inputs)
