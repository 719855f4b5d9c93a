"""VibeVoice on a CPU through ONNX Runtime, without torch: converted on the first start, opened from then on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tts_plugin import hub
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.device import Resolved
from tts_plugin.engine.model.schedule import make_schedule
from tts_plugin.engine.onnx.converted import Report, log_report
from tts_plugin.engine.onnx.network import OnnxNetwork, Source, open_network
from tts_plugin.engine.onnx.session import precision_of
from tts_plugin.engine.onnx.voice import load_voice
from tts_plugin.engine.onnx_runner import OnnxRunner
from tts_plugin.engine.room import make_room
from tts_plugin.engine.sizes import VoiceLengths

CONVERTED_FOLDER = "onnx"


def open_onnx_runner(
    config: EngineConfig, files: hub.ModelFiles, voice_files: Mapping[str, Path], resolved: Resolved
) -> OnnxRunner:
    """Raises WrongCheckpoint, CannotKeep or NotEnoughMemory."""
    network = open_files(config, files, resolved.dtype)
    voices = {name: load_voice(path, network.config) for name, path in voice_files.items()}
    lengths = [VoiceLengths(v.base.positions, v.tts.positions, v.negative.positions) for v in voices.values()]
    return OnnxRunner(network, voices, make_room(config, network.config, lengths, resolved))


def open_files(config: EngineConfig, files: hub.ModelFiles, dtype: str, report: Report = log_report) -> OnnxNetwork:
    """The network of a checkpoint, converted if it is not yet. Raises WrongCheckpoint or CannotKeep."""
    schedule = make_schedule(config.solver, config.solver_steps)
    return open_network(
        Source(files.config, files.weights, _roots(files)), schedule, precision_of(dtype), report=report
    )


def _roots(files: hub.ModelFiles) -> tuple[Path, ...]:
    """A folder that was filled by tts-ops pull --to --device cpu has its own; all else is in huggingface's cache."""
    own, cache = files.weights.parent / CONVERTED_FOLDER, hub.converted_cache()
    return (own,) if cache is None or own.is_dir() else (own, cache)
