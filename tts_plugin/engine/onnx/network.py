"""The whole network for ONNX Runtime: opened from converted graphs, which are made first where they are missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint, read_config
from tts_plugin.engine.model.schedule import Schedule
from tts_plugin.engine.onnx.builder import Builder
from tts_plugin.engine.onnx.checkpoint import Checkpoint, Tensors
from tts_plugin.engine.onnx.converted import VERSION, Part, Report, convert, find, identity, log_report
from tts_plugin.engine.onnx.decoder_graph import build_decoder
from tts_plugin.engine.onnx.head import Sampler
from tts_plugin.engine.onnx.head_graph import build_modulation, build_times, build_velocity
from tts_plugin.engine.onnx.language_model import Weights, build_base_model, build_tts_model
from tts_plugin.engine.onnx.session import Precision, cores, open_session
from tts_plugin.weights import check_checkpoint

Floats = NDArray[np.float32]
_EMBEDDINGS = "model.language_model.embed_tokens.weight"
_SCALE, _BIAS = "model.speech_scaling_factor", "model.speech_bias_factor"


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """Weights and how to run them. Holds no state of any utterance."""

    config: ModelConfig
    precision: Precision
    schedule: Schedule
    base: onnxruntime.InferenceSession
    tts: onnxruntime.InferenceSession
    decoder: onnxruntime.InferenceSession
    sampler: Sampler
    tensors: Checkpoint
    scale: float
    bias: float

    def embed(self, ids: Sequence[int]) -> Floats:
        return self.tensors.rows(_EMBEDDINGS, ids)

    def unscaled(self, latents: Floats) -> Floats:
        """The decoder's input, from latents as the solver makes them."""
        return latents / np.float32(self.scale) - np.float32(self.bias)


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint, and where what was converted of it is looked for; it is written to the last of `roots`."""

    config: Path
    weights: Path
    roots: tuple[Path, ...]


def open_network(
    source: Source,
    schedule: Schedule,
    precision: Precision,
    threads: int | None = None,
    report: Report = log_report,
) -> OnnxNetwork:
    """Raises WrongCheckpoint or CannotKeep. threads: None takes the cores that this process may use."""
    config = read_config(source.config)
    entries = check_checkpoint(source.weights, config).tensors
    tensors = Tensors(source.weights, entries)
    _check_scaling(source.weights, tensors)
    key = f"{identity(source.config, source.weights, entries)}-{precision}-v{VERSION}"
    parts = network_parts(tensors, config, precision)
    folder = find(source.roots, key) or convert(source.roots[-1], key, parts, report)
    opened = {part.name: open_session(part.path(folder), threads or cores()) for part in parts}
    return assemble(opened, tensors, config, schedule, precision)


def build_network(
    tensors: Checkpoint, config: ModelConfig, schedule: Schedule, precision: Precision, threads: int | None = None
) -> OnnxNetwork:
    """In memory, for small or random networks: nothing is kept on disk."""
    opened = {}
    for part in network_parts(tensors, config, precision):
        builder = Builder()
        part.build(builder)
        opened[part.name] = builder.session(threads or cores())
    return assemble(opened, tensors, config, schedule, precision)


def assemble(
    sessions: Mapping[str, onnxruntime.InferenceSession],
    tensors: Checkpoint,
    config: ModelConfig,
    schedule: Schedule,
    precision: Precision,
) -> OnnxNetwork:
    """Of the sessions of network_parts, by name."""
    return OnnxNetwork(
        config=config,
        precision=precision,
        schedule=schedule,
        base=sessions["base"],
        tts=sessions["tts"],
        decoder=sessions["decoder"],
        sampler=Sampler(sessions["times"], sessions["modulation"], sessions["velocity"], schedule),
        tensors=tensors,
        scale=float(tensors[_SCALE]),
        bias=float(tensors[_BIAS]),
    )


def network_parts(weights: Weights, config: ModelConfig, precision: Precision) -> tuple[Part, ...]:
    given: dict[str, Any] = {"weights": weights, "config": config}
    rounded = {**given, "precision": precision}
    return (
        Part("base", partial(build_base_model, **rounded)),
        Part("tts", partial(build_tts_model, **rounded)),
        Part("decoder", partial(build_decoder, **rounded)),
        Part("times", partial(build_times, **given)),
        Part("modulation", partial(build_modulation, **rounded)),
        Part("velocity", partial(build_velocity, **rounded)),
    )


def _check_scaling(path: Path, tensors: Weights) -> None:
    scale, bias = float(tensors[_SCALE]), float(tensors[_BIAS])
    if not (math.isfinite(scale) and math.isfinite(bias) and scale):
        raise WrongCheckpoint(f"{path}: speech scaling {scale} and bias {bias}; expected finite numbers, not 0")
