"""`tts-ops bench rounding`: the error of VibeVoice's parts with weights of 8 or 4 bits, beside float32, as a table."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tts_plugin import hub
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint
from tts_plugin.engine.model.shapes import REALTIME_05B, SMALL
from worker.settings import Settings

if TYPE_CHECKING:
    from tts_plugin.engine.onnx.checkpoint import Checkpoint
    from tts_plugin.engine.onnx.network import OnnxNetwork
    from tts_plugin.engine.onnx.voice import Voice

TEXT = (
    "The capital of France is Paris, and it is lovely in the spring. Would you like to hear more about it? "
    "There are twenty districts, and each of them has a market, a park and a story of its own."
)
_POSITIONS = (74, 251)  # base, TTS: as en-Emma's


def run(settings: Settings, *, random_weights: bool, size: str, dtypes: str, latents: int) -> int:
    """Returns the exit code: 0 measured, 1 could not, 2 asked for something that is not."""
    asked = [name.strip() for name in dtypes.split(",")]
    if not set(asked) <= {"int8", "int4"} or size not in ("real", "small"):
        sys.stderr.write(f"tts-ops bench rounding: --dtype {dtypes!r:.60} --size {size!r:.60}; allowed: int8, int4; ")
        sys.stderr.write("real, small\n")
        return 2
    config = settings.engine
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = _random(size) if random_weights else _pulled(config)
            _report(given, asked, latents, config, Path(folder))
    except (ImportError, WrongCheckpoint, OSError, RuntimeError) as error:
        sys.stderr.write(f"tts-ops bench rounding: {error}\n")
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class _Given:
    """A checkpoint, a voice, and what is said."""

    name: str
    tensors: Checkpoint
    config: ModelConfig
    voice: Voice


def _random(size: str) -> _Given:
    from tts_plugin.engine.onnx.random_tensors import RandomTensors, random_voice

    model = REALTIME_05B if size == "real" else SMALL
    return _Given(f"random weights of {size} size", RandomTensors(model), model, random_voice(model, *_POSITIONS))


def _pulled(config: EngineConfig) -> _Given:
    from tts_plugin.engine.model.config import read_config
    from tts_plugin.engine.onnx.checkpoint import Tensors
    from tts_plugin.engine.onnx.voice import load_voice
    from tts_plugin.weights import check_checkpoint

    files = hub.locate(config.model_name, config.model_path)
    if files is None or not files.voice_ids:
        raise RuntimeError("VibeVoice is not on this machine: run tts-ops pull, or give --random-weights")
    model = read_config(files.config)
    tensors = Tensors(files.weights, check_checkpoint(files.weights, model).tensors)
    name = files.voice_ids[0]
    return _Given(
        f"{config.model_name}, {name}", tensors, model, load_voice(files.voices / f"{name}.safetensors", model)
    )


def _report(given: _Given, dtypes: list[str], latents: int, config: EngineConfig, folder: Path) -> None:
    from tts_plugin.engine.model.schedule import make_schedule
    from tts_plugin.engine.onnx.converted import convert
    from tts_plugin.engine.onnx.network import assemble, network_parts
    from tts_plugin.engine.onnx.session import cores, open_session, precision_of
    from tts_plugin.engine.rounding import measure
    from tts_plugin.engine.runner import Opening
    from tts_plugin.engine.sizes import VoiceLengths, fit
    from tts_plugin.engine.tokenizer import load_vocabulary

    schedule = make_schedule(config.solver, config.solver_steps, given.config.diffusion.train_steps)
    voice = given.voice
    sizes = fit(given.config, [VoiceLengths(voice.base.positions, voice.tts.positions, 1)], 1, 4, 1 << 30)

    def network(dtype: str) -> OnnxNetwork:
        parts = network_parts(given.tensors, given.config, precision_of(dtype))
        converted = convert(folder, dtype, parts)
        opened = {part.name: open_session(part.path(converted), cores()) for part in parts}
        return assemble(opened, given.tensors, given.config, schedule, precision_of(dtype))

    exact, ids = network("float32"), load_vocabulary()(TEXT)
    print(f"{given.name}; {latents} latents, {schedule.name}, {len(schedule.steps)} steps, CFG {config.cfg_scale}")
    print("| weights | part | error (relative rms) | worst latent | signal to noise |")
    print("|---|---|---|---|---|")
    for dtype in dtypes:
        opening = Opening("voice", 7, config.cfg_scale)
        found = measure(exact, network(dtype), {"voice": voice}, sizes, ids, latents, opening)
        for one in found:
            print(f"| {dtype} | {one.part} | {one.relative:.4f} | {one.worst:.4f} | {one.decibels:.0f} dB |")
