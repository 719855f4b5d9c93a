"""VibeVoice with random weights as a back-end: the arithmetic and the memory of the real one, without a download.

It speaks noise within full scale and never ends by itself. `null` is no model at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError
from tts_plugin.engine.device import NoSuchDevice, Resolved, free_bytes, resolve
from tts_plugin.engine.model.config import ModelConfig
from tts_plugin.engine.model.shapes import REALTIME_05B, SMALL
from tts_plugin.engine.runner import Runner
from tts_plugin.engine.sizes import NotEnoughMemory, Sizes, VoiceLengths, fit
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from worker.bench.null_runner import NullRunner

Size = Literal["real", "small", "null"]
VOICE = "en-emma_woman"
_LOUDNESS = 0.01  # random weights speak at up to 80 times full scale; clipped, every fault would be hidden
_POSITIONS = (74, 251)  # base, TTS: as en-Emma's


@dataclass(frozen=True, slots=True)
class RandomModel:
    """`null` is there when the size is null: it counts its steps."""

    backend: VibeVoiceBackend
    null: NullRunner | None = None


def open_random(size: Size, config: EngineConfig, rows: int) -> RandomModel:
    """With room for `rows` utterances. Raises EngineError."""
    from tts_plugin.engine.tokenizer import load_vocabulary

    try:
        if size == "null":
            runner = NullRunner(rows)
            return RandomModel(VibeVoiceBackend(runner, load_vocabulary(), config, rows=rows), runner)
        return RandomModel(_open(size, config, rows))
    except ImportError as error:
        raise EngineError(
            f"{error}: run make vibevoice-cpu or make vibevoice (elsewhere: pip install 'tts-ops[cpu]')"
        ) from error


def _open(size: Size, config: EngineConfig, rows: int) -> VibeVoiceBackend:
    from tts_plugin.engine.tokenizer import load_vocabulary

    model = REALTIME_05B if size == "real" else SMALL
    try:
        resolved = resolve(config.device, config.dtype)
        load = _on_onnx if resolved.runtime == "onnx" else _on_torch
        runner = load(model, config, resolved, lambda: _room(model, resolved, rows))
    except (NoSuchDevice, NotEnoughMemory) as error:
        raise EngineError(str(error)) from None
    return VibeVoiceBackend(runner, load_vocabulary(), config, rows=rows)


def _room(model: ModelConfig, resolved: Resolved, rows: int) -> Sizes:
    """After the weights were loaded."""
    sizes = fit(model, [VoiceLengths(*_POSITIONS, 1)], rows, resolved.number_bytes, free_bytes(resolved))
    if sizes.slots < rows:
        raise EngineError(f"memory for {sizes.slots} utterances at once, not for {rows}: ask for a smaller --batch")
    return sizes


def _on_torch(model: ModelConfig, config: EngineConfig, resolved: Resolved, room: Callable[[], Sizes]) -> Runner:
    from tts_plugin.engine.model.dpm_solver import make_schedule
    from tts_plugin.engine.model.random_weights import random_voice, random_weights
    from tts_plugin.engine.torch_runner import TorchRunner

    network = random_weights(model, device=resolved.torch_device, dtype=resolved.torch_dtype)
    network.decoder.head.weight.data.mul_(_LOUDNESS)
    voice = random_voice(model, *_POSITIONS, like=network.embed_tokens.weight)
    schedule = make_schedule(config.solver, config.solver_steps, model.diffusion.train_steps)
    return TorchRunner(network, {VOICE: voice}, schedule, room())


def _on_onnx(model: ModelConfig, config: EngineConfig, resolved: Resolved, room: Callable[[], Sizes]) -> Runner:
    from tts_plugin.engine.model.schedule import make_schedule
    from tts_plugin.engine.onnx.network import build_network
    from tts_plugin.engine.onnx.random_tensors import RandomTensors, random_voice
    from tts_plugin.engine.onnx.session import precision_of
    from tts_plugin.engine.onnx_runner import OnnxRunner

    tensors = RandomTensors(model, loudness=_LOUDNESS)
    schedule = make_schedule(config.solver, config.solver_steps, model.diffusion.train_steps)
    network = build_network(tensors, model, schedule, precision_of(resolved.dtype))
    return OnnxRunner(network, {VOICE: random_voice(model, *_POSITIONS)}, room())
