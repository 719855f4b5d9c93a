"""The diffusion head as three graphs: embedded times, what condition and time make of the layers, the velocity.

Times are computed once per schedule, the modulation of all solver steps once per latent, so that a step is the layers'
feed-forwards only. Both branches of the guidance are rows of every product, and are joined before the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.onnx.builder import Builder, Precision
from tts_plugin.engine.onnx.head import TIME_FREQUENCIES
from tts_plugin.engine.onnx.row_scaled import row_scaled

Weights = Mapping[str, NDArray[np.float32]]
_HEAD = "model.prediction_head"
_MICROSOFT = "com.microsoft"


def build_times(builder: Builder, weights: Weights, config: ModelConfig) -> None:
    """waves [steps, 256] → times [steps, hidden]."""
    waves = builder.input("waves", "float32", ["steps", TIME_FREQUENCIES])
    first = _silu(builder, builder.linear(waves, weights[f"{_HEAD}.t_embedder.mlp.0.weight"]))
    times = builder.linear(first, weights[f"{_HEAD}.t_embedder.mlp.2.weight"])
    builder.output(times, "times", "float32", ["steps", config.language.hidden])


def build_modulation(builder: Builder, weights: Weights, config: ModelConfig, precision: Precision) -> None:
    """times [steps, hidden] and conditions [rows, 2, hidden] → modulation [steps, rows, 2, parts * hidden].

    Parts: shift, 1 + scale and gate of every layer, then shift and 1 + scale of the last.
    """
    b, hidden = builder, config.language.hidden
    times = b.input("times", "float32", ["steps", hidden])
    conditions = b.input("conditions", "float32", ["rows", 2, hidden])
    projected = b.linear(conditions, weights[f"{_HEAD}.cond_proj.weight"])
    times = b.op("Unsqueeze", times, b.weight(np.array([1, 2])))
    mixed = _silu(b, b.op("Add", times, projected))
    names = [f"layers.{n}" for n in range(config.diffusion.layers)] + ["final_layer"]
    parts = [weights[f"{_HEAD}.{name}.adaLN_modulation.1.weight"] for name in names]
    ones = np.zeros((_parts(config), hidden), np.float32)
    ones[1::3] = 1  # every scale is second of its layer
    product = _product(b, mixed, np.concatenate(parts), precision, digits=2)
    modulation = b.op("Add", product, b.weight(ones.reshape(-1)))
    b.output(modulation, "modulation", "float32", ["steps", "rows", 2, ones.size])


def build_velocity(builder: Builder, weights: Weights, config: ModelConfig, precision: Precision) -> None:
    """x [rows, latent], modulation [rows, 2, parts * hidden] of a step, cfg_scales [rows, 1] → velocity [rows, latent].

    Of the two, the first is the conditioned branch.
    """
    b, hidden, parts = builder, config.language.hidden, _parts(config)
    x = b.input("x", "float32", ["rows", config.latent])
    modulation = b.input("modulation", "float32", ["rows", 2, parts * hidden])
    scales = b.input("cfg_scales", "float32", ["rows", 1])
    pieces = list(b.op("Split", modulation, outputs=parts, axis=-1, num_outputs=parts))
    projected = b.op("Unsqueeze", b.linear(x, weights[f"{_HEAD}.noisy_images_proj.weight"]), b.weight(np.array([1])))
    x = b.op("Concat", projected, projected, axis=1)
    for n in range(config.diffusion.layers):
        shift, scale, gate = pieces[3 * n : 3 * n + 3]
        x = _layer(b, weights, config, f"{_HEAD}.layers.{n}", x, (shift, scale, gate), precision)
    normed = _norm(b, x, np.ones(hidden, np.float32), config.diffusion.norm_eps)
    both = b.op("Add", b.op("Mul", normed, pieces[-1]), pieces[-2])
    guided, unguided = (b.op("Gather", both, b.weight(np.array(branch)), axis=1) for branch in (0, 1))
    joined = b.op("Add", unguided, b.op("Mul", scales, b.op("Sub", guided, unguided)))
    velocity = b.linear(joined, weights[f"{_HEAD}.final_layer.linear.weight"])
    b.output(velocity, "velocity", "float32", ["rows", config.latent])


def _layer(
    b: Builder,
    weights: Weights,
    config: ModelConfig,
    name: str,
    x: str,
    modulated: tuple[str, str, str],
    precision: Precision,
) -> str:
    shift, scale, gate = modulated
    normed = _norm(b, x, weights[f"{name}.norm.weight"], config.diffusion.norm_eps)
    inside = b.op("Add", b.op("Mul", normed, scale), shift)
    both = np.concatenate((weights[f"{name}.ffn.gate_proj.weight"], weights[f"{name}.ffn.up_proj.weight"]))
    opening, up = b.op("Split", _product(b, inside, both, precision), outputs=2, axis=-1, num_outputs=2)
    wide = b.op("Mul", _silu(b, opening), up)
    # a gated product has outliers, which one digit would pay for
    out = _product(b, wide, weights[f"{name}.ffn.down_proj.weight"], precision, digits=2)
    return str(b.op("Add", x, b.op("Mul", gate, out)))


def _parts(config: ModelConfig) -> int:
    return 3 * config.diffusion.layers + 2


def _product(b: Builder, x: str, weight: NDArray[np.float32], precision: Precision, digits: Literal[1, 2] = 1) -> str:
    """4 bits would cost a fifth of the latents and gain little: fewer than 32 bits are 8 here."""
    if precision == "float32":
        return b.linear(x, weight)
    return row_scaled(b, x, weight, digits=digits)


def _norm(b: Builder, x: str, weight: NDArray[np.float32], eps: float) -> str:
    return str(b.op("SimplifiedLayerNormalization", x, b.weight(weight), axis=-1, epsilon=eps))


def _silu(b: Builder, x: str) -> str:
    return str(b.op("QuickGelu", x, domain=_MICROSOFT, alpha=1.0))
