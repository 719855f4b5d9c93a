"""VibeVoice on torch: CUDA, MPS, or a CPU in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.device import Resolved
from tts_plugin.engine.model.dpm_solver import make_schedule
from tts_plugin.engine.model.load import load
from tts_plugin.engine.model.voice import load_voice
from tts_plugin.engine.room import make_room
from tts_plugin.engine.sizes import VoiceLengths
from tts_plugin.engine.torch_runner import TorchRunner
from tts_plugin.hub import ModelFiles


def open_torch_runner(
    config: EngineConfig, files: ModelFiles, voice_files: Mapping[str, Path], resolved: Resolved
) -> TorchRunner:
    """Raises WrongCheckpoint or NotEnoughMemory."""
    network = load(files.config, files.weights, resolved.torch_device, resolved.torch_dtype)
    voices = {
        name: load_voice(path, network.config, resolved.torch_device, resolved.torch_dtype)
        for name, path in voice_files.items()
    }
    lengths = [VoiceLengths(v.base.positions, v.tts.positions, v.negative.positions) for v in voices.values()]
    sizes = make_room(config, network.config, lengths, resolved)
    schedule = make_schedule(config.solver, config.solver_steps, network.config.diffusion.train_steps)
    return TorchRunner(network, voices, schedule, sizes)
