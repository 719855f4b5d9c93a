"""Opens VibeVoice: finds its files, resolves the device, loads weights and voices, sizes memory, warms up, says so."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.device import Resolved, free_bytes, resolve
from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint
from tts_plugin.engine.model.dpm_solver import make_schedule
from tts_plugin.engine.model.load import load
from tts_plugin.engine.model.voice import Voice, load_voice
from tts_plugin.engine.sizes import Sizes, VoiceLengths, fit
from tts_plugin.engine.tokenizer import load_vocabulary
from tts_plugin.engine.torch_runner import TorchRunner
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from tts_plugin.engine.warm_up import Pace, warm_up
from tts_plugin.hub import ModelFiles
from tts_plugin.preset import WrongPreset, verify

logger = logging.getLogger(__name__)

_MOST_SLOTS = {"cuda": 64, "mps": 8, "cpu": 8}  # unless TTS_MAX_BATCH_SIZE says otherwise; memory may allow fewer


class TooSlow(RuntimeError):
    """Not even one utterance runs in real time here."""


def open_vibevoice(config: EngineConfig, files: ModelFiles, *, real_time_only: bool = False) -> VibeVoiceBackend:
    """Raises NoSuchDevice, WrongCheckpoint, WrongPreset, WrongVocabulary or NotEnoughMemory.

    With real_time_only, TooSlow where not even one utterance is.
    """
    started = time.monotonic()
    resolved = resolve(config.device, config.dtype)
    network = load(files.config, files.weights, resolved.torch_device, resolved.torch_dtype)
    voices = _load_voices(files, network.config, resolved)
    sizes = _sizes(config, network.config, voices, resolved)
    schedule = make_schedule(config.solver, config.solver_steps, network.config.diffusion.train_steps)
    runner = TorchRunner(network, voices, schedule, sizes)
    encode = load_vocabulary(files.tokenizer.parent if files.tokenizer else None)
    load_s = time.monotonic() - started
    pace = warm_up(runner)
    if real_time_only and not pace.real_time:
        raise TooSlow(
            f"{pace.latent_s * 1000:.0f} ms of speech take {pace.one_row_s * 1000:.0f} ms on {resolved.device}"
        )
    rows = config.max_batch_size or pace.rows
    _say_so(config, resolved, runner, pace, rows, load_s)
    if not config.max_batch_size:
        runner.slots = min(runner.slots, pace.rows)
    return VibeVoiceBackend(runner, encode, config, rows=rows, load_s=load_s)


def _load_voices(files: ModelFiles, config: ModelConfig, resolved: Resolved) -> dict[str, Voice]:
    if not files.voice_ids:
        raise WrongPreset(f"there is no voice in {files.voices}: fetch them with tts-ops pull")
    return {
        voice: load_voice(_verified(files.voices, voice), config, resolved.torch_device, resolved.torch_dtype)
        for voice in files.voice_ids
    }


def _verified(folder: Path, voice: str) -> Path:
    verify(folder, voice)
    return folder / f"{voice}.safetensors"


def _sizes(config: EngineConfig, model: ModelConfig, voices: dict[str, Voice], resolved: Resolved) -> Sizes:
    lengths = [VoiceLengths(v.base.positions, v.tts.positions, v.negative.positions) for v in voices.values()]
    longest = max(length.tts for length in lengths)
    if longest >= model.language.max_positions:
        raise WrongCheckpoint(
            f"a voice of {longest} positions leaves none of {model.language.max_positions} to speak in"
        )
    slots = config.max_batch_size or _MOST_SLOTS[resolved.kind]
    return fit(model, lengths, slots, resolved.torch_dtype.itemsize, free_bytes(resolved))


def _say_so(
    config: EngineConfig, resolved: Resolved, runner: TorchRunner, pace: Pace, rows: int, load_s: float
) -> None:
    logger.info(
        "VibeVoice speaks: device %s (configured %s), %s (configured %s), loaded in %.1f s, %d voices, %d slots,"
        " %d rows a step, %d KV pages (%d MiB); a step takes %.0f ms for 1 row, %.0f ms for %d, real time is %.0f ms",
        resolved.device,
        config.device,
        resolved.dtype,
        config.dtype,
        load_s,
        len(runner.voices),
        runner.slots,
        rows,
        runner.total_pages,
        runner.sizes.bytes >> 20,
        pace.one_row_s * 1000,
        pace.all_rows_s * 1000,
        pace.rows,
        pace.latent_s * 1000,
    )
    if not pace.real_time:
        logger.warning("VibeVoice is slower than real time on %s: listeners will hear gaps", resolved.device)
