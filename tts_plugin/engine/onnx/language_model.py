"""The Qwen2 decoder as a graph: base model (text in) and TTS model (text and its own speech in).

A pass takes the tokens of all rows at once. What the models remember stays outside, in the pages of page_store.py: the
graph is handed all pages and the tables of who reads which, and hands back the keys and values of the new tokens.
Attention is computed group by group (see plan.py); spans of a group are padded to the longest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.model.config import LanguageConfig, ModelConfig
from tts_plugin.engine.onnx.builder import Builder, Precision
from tts_plugin.engine.pages import PAGE

Weights = Mapping[str, NDArray[np.float32]]
SINGLE, WINDOW = "single", "window"  # groups of spans of one token, and of several
BASE_GROUPS = (WINDOW,)
TTS_GROUPS = (SINGLE, SINGLE, WINDOW)  # as Plan.groups: latents alone, the negative branch, text windows
TYPE_SPEECH, TYPE_TEXT = 0, 1
CONNECTOR_EPS = 1e-6
_BASE, _TTS = "model.language_model", "model.tts_language_model"
_MICROSOFT = "com.microsoft"


def build_base_model(builder: Builder, weights: Weights, config: ModelConfig, precision: Precision) -> None:
    """embeddings [tokens, hidden] → hidden [tokens, hidden], without a final norm."""
    stack = _Stack(builder, weights, config.language, BASE_GROUPS, precision)
    x = builder.input("embeddings", "float32", ["tokens", config.language.hidden])
    hidden = stack.run(x, _BASE, config.base_layers)
    builder.output(hidden, "hidden", "float32", ["tokens", config.language.hidden])


def build_tts_model(builder: Builder, weights: Weights, config: ModelConfig, precision: Precision) -> None:
    """latents [latents, latent] and text [ids, hidden], put into `order` → hidden [tokens, hidden], eos [tokens]."""
    size = config.language.hidden
    stack = _Stack(builder, weights, config.language, TTS_GROUPS, precision)
    hidden = stack.run(_embed(builder, weights, config), _TTS, config.tts_layers, norm=f"{_TTS}.norm.weight")
    builder.output(hidden, "hidden", "float32", ["tokens", size])
    wide = builder.op("Relu", _linear(builder, weights, hidden, "tts_eos_classifier.fc1"))
    logits = builder.op("Squeeze", _linear(builder, weights, wide, "tts_eos_classifier.fc2"), _ints(builder, 1))
    builder.output(logits, "eos", "float32", ["tokens"])


def _embed(builder: Builder, weights: Weights, config: ModelConfig) -> str:
    """[tokens, hidden]: what the TTS model hears. Latents go through the connector."""
    latents = builder.input("latents", "float32", ["latents", config.latent])
    text = builder.input("text", "float32", ["ids", config.language.hidden])
    order = builder.input("order", "int64", ["tokens"])
    types = weights["model.tts_input_types.weight"]
    x = _linear(builder, weights, latents, "model.acoustic_connector.fc1")
    x = _norm(builder, x, weights["model.acoustic_connector.norm.weight"], CONNECTOR_EPS)
    x = builder.op("Add", _linear(builder, weights, x, "model.acoustic_connector.fc2"), builder.weight(types[0]))
    heard = builder.op("Concat", x, builder.op("Add", text, builder.weight(types[1])), axis=0)
    return str(builder.op("Gather", heard, order, axis=0))


@dataclass(frozen=True, slots=True)
class _Group:
    """The inputs of a group; a table has a row per layer."""

    kind: str
    table: str  # [layers, spans * kv_heads * pages]: what to read
    new: str  # [news]: which rows of the new keys, [tokens * kv_heads] rows, belong to the group
    places: str  # [news, 2]: where in what was read they go: row, offset
    mask: str  # [spans, 1, 1 or steps * heads per kv head, positions]: 0, or -inf for what may not be seen
    shape: str  # [4]: spans, kv_heads, positions, head_dim
    tokens: str  # [spans, steps]: which tokens these are; single: [spans]
    back: str = ""  # [tokens]: which of spans * steps they are; windows only


class _Stack:
    def __init__(
        self, builder: Builder, weights: Weights, config: LanguageConfig, groups: tuple[str, ...], precision: Precision
    ) -> None:
        self._b, self._weights, self._config, self._precision = builder, weights, config, precision
        page = [PAGE, config.head_dim]
        self._keys = builder.input("keys", "float32", ["stored", *page])
        self._values = builder.input("values", "float32", ["stored", *page])
        self._positions = builder.input("positions", "int64", [1, "tokens"])
        self._groups = [self._group(n, kind) for n, kind in enumerate(groups)]
        self._cos, self._sin = (builder.weight(table) for table in _rotary(config))
        self._new_keys: list[str] = []
        self._new_values: list[str] = []

    def run(self, x: str, prefix: str, layers: int, norm: str | None = None) -> str:
        b, eps = self._b, self._config.norm_eps
        residual, after = x, ""
        for n in range(layers):
            name = f"{prefix}.layers.{n}"
            normed, residual = self._add_norm(residual, after, f"{name}.input_layernorm.weight")
            attended = self._attention(n, normed, f"{name}.self_attn")
            normed, residual = self._add_norm(residual, attended, f"{name}.post_attention_layernorm.weight")
            after = self._mlp(normed, f"{name}.mlp")
        heads = (self._config.kv_heads, self._config.head_dim)
        for values, output in ((self._new_keys, "new_keys"), (self._new_values, "new_values")):
            stacked = b.op("Concat", *values, axis=0)
            b.output(
                b.op("Reshape", stacked, _ints(b, layers, -1, *heads)), output, "float32", (layers, "tokens", *heads)
            )
        hidden = b.op("Add", residual, after)
        return hidden if norm is None else _norm(b, hidden, self._weights[norm], eps)

    def _add_norm(self, residual: str, after: str, name: str) -> tuple[str, str]:
        """Norm of residual + after, and the sum."""
        b, weight, eps = self._b, self._weights[name], self._config.norm_eps
        if not after:
            return _norm(b, residual, weight, eps), residual
        normed, _, _, total = b.op(
            "SkipSimplifiedLayerNormalization",
            residual,
            after,
            b.weight(weight),
            domain=_MICROSOFT,
            outputs=4,
            epsilon=eps,
        )
        return normed, total

    def _mlp(self, x: str, name: str) -> str:
        b = self._b
        both = np.concatenate((self._weights[f"{name}.gate_proj.weight"], self._weights[f"{name}.up_proj.weight"]))
        gate, up = b.op("Split", b.linear(x, both, None, self._precision), outputs=2, axis=-1, num_outputs=2)
        silu = b.op("QuickGelu", gate, domain=_MICROSOFT, alpha=1.0)
        return b.linear(b.op("Mul", silu, up), self._weights[f"{name}.down_proj.weight"], None, self._precision)

    def _attention(self, layer: int, x: str, name: str) -> str:
        b, config, weights = self._b, self._config, self._weights
        parts = [f"{name}.{part}_proj" for part in "qkv"]
        weight = np.concatenate([weights[f"{part}.weight"] for part in parts])
        bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
        turning, plain = (config.heads + config.kv_heads) * config.head_dim, config.kv_heads * config.head_dim
        flat = b.linear(x, weight, bias, self._precision)
        turned, value = b.op("Split", flat, _ints(b, turning, plain), outputs=2, axis=-1)
        query, key = b.op("Split", self._rotate(turned), _ints(b, turning - plain, plain), outputs=2, axis=-1)
        key, value = (b.op("Reshape", part, _ints(b, -1, config.head_dim)) for part in (key, value))
        self._new_keys.append(key)
        self._new_values.append(value)
        seen = [self._attend(group, layer, query, key, value) for group in self._groups]
        joined = seen[0] if len(seen) == 1 else b.op("Concat", *seen, axis=0)
        return b.linear(joined, weights[f"{name}.o_proj.weight"], None, self._precision)

    def _rotate(self, turned: str) -> str:
        """[tokens, n * head_dim], every head turned by its token's position."""
        b, config = self._b, self._config
        heads = config.heads + config.kv_heads
        row = b.op("Unsqueeze", turned, _ints(b, 0))
        turned = b.op(
            "RotaryEmbedding",
            row,
            self._positions,
            self._cos,
            self._sin,
            domain=_MICROSOFT,
            num_heads=heads,
            rotary_embedding_dim=0,
        )
        return str(b.op("Squeeze", turned, _ints(b, 0)))

    def _attend(self, group: _Group, layer: int, query: str, key: str, value: str) -> str:
        """[tokens of the group, heads * head_dim]."""
        b, config = self._b, self._config
        kv, size, share = config.kv_heads, config.head_dim, config.heads // config.kv_heads
        queries = b.op("Gather", query, group.tokens, axis=0)
        if group.kind == WINDOW:
            queries = b.op("Reshape", queries, _ints(b, 0, 0, kv, share, size))
            queries = b.op("Transpose", queries, perm=[0, 2, 1, 3, 4])  # [spans, kv, steps, share, size]
        rows = share if group.kind == SINGLE else -1
        queries = b.op("Reshape", queries, _ints(b, 0, kv, rows, size))
        table = b.op("Gather", group.table, b.weight(np.array(layer)), axis=0)
        keys, values = (
            self._seen(group, table, stored, new) for stored, new in ((self._keys, key), (self._values, value))
        )
        scores = b.op("FusedMatMul", queries, keys, domain=_MICROSOFT, transB=1, alpha=size**-0.5)
        shares = b.op("Softmax", b.op("Add", scores, group.mask), axis=-1)
        out = b.op("MatMul", shares, values)  # [spans, kv, steps * share, size]
        if group.kind == SINGLE:
            return str(b.op("Reshape", out, _ints(b, 0, config.heads * size)))
        out = b.op("Reshape", out, _ints(b, 0, kv, -1, share, size))
        out = b.op("Transpose", out, perm=[0, 2, 1, 3, 4])
        return str(b.op("Gather", b.op("Reshape", out, _ints(b, -1, config.heads * size)), group.back, axis=0))

    def _seen(self, group: _Group, table: str, stored: str, new: str) -> str:
        """[spans, kv_heads, positions, head_dim]: the pages of the spans, with the new tokens in their places."""
        b = self._b
        pages = b.op("Gather", stored, table, axis=0)
        rows = b.op("Gather", new, group.new, axis=0)
        return str(b.op("Reshape", b.op("ScatterND", pages, group.places, rows), group.shape))

    def _group(self, n: int, kind: str) -> _Group:
        b = self._b
        return _Group(
            kind,
            b.input(f"table_{n}", "int64", ["layers", f"read_{n}"]),
            b.input(f"new_{n}", "int64", [f"news_{n}"]),
            b.input(f"places_{n}", "int64", [f"news_{n}", 2]),
            b.input(f"mask_{n}", "float32", [f"spans_{n}", 1, f"rows_{n}", f"positions_{n}"]),
            b.input(f"shape_{n}", "int64", [4]),
            b.input(f"tokens_{n}", "int64", [f"spans_{n}"] if kind == SINGLE else [f"spans_{n}", f"steps_{n}"]),
            b.input(f"back_{n}", "int64", [f"heard_{n}"]) if kind == WINDOW else "",
        )


def _rotary(config: LanguageConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosine and sine [positions, head_dim / 2], computed in float32 as the reference does."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    rates = np.float32(config.rope_theta) ** -exponents
    angles = np.arange(config.max_positions, dtype=np.float32)[:, None] * rates
    return np.cos(angles), np.sin(angles)


def _norm(b: Builder, x: str, weight: NDArray[np.float32], eps: float) -> str:
    return str(b.op("SimplifiedLayerNormalization", x, b.weight(weight), axis=-1, epsilon=eps))


def _linear(b: Builder, weights: Weights, x: str, name: str) -> str:
    return b.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _ints(b: Builder, *numbers: int) -> str:
    return b.weight(np.array(numbers, np.int64))
