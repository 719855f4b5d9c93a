"""Opens VibeVoice: finds its files, resolves the device, loads weights and voices, sizes memory, warms up, says so."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from tts_plugin.engine.calibration import calibrate
from tts_plugin.engine.capacity import Capacity, step_limit_s
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.device import Resolved, free_bytes, resolve
from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint
from tts_plugin.engine.model.dpm_solver import make_schedule
from tts_plugin.engine.model.load import load
from tts_plugin.engine.model.voice import Voice, load_voice
from tts_plugin.engine.runner import Runner
from tts_plugin.engine.sizes import Sizes, VoiceLengths, fit
from tts_plugin.engine.tokenizer import load_vocabulary
from tts_plugin.engine.torch_runner import TorchRunner
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from tts_plugin.hub import ModelFiles
from tts_plugin.preset import WrongPreset, verify

logger = logging.getLogger(__name__)

_MOST_SLOTS = {"cuda": 1024, "mps": 8, "cpu": 8}  # unless TTS_MAX_BATCH_SIZE says otherwise; memory may allow fewer


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
    capacity = _calibrated(runner, config, resolved)
    if real_time_only and not capacity.real_time:
        raise TooSlow(_why_too_slow(runner, capacity, resolved))
    _say_so(config, resolved, runner, capacity, load_s)
    if config.max_batch_size:  # whoever names a number gets it, fast enough or not
        return VibeVoiceBackend(runner, encode, config, rows=config.max_batch_size, load_s=load_s)
    return VibeVoiceBackend(runner, encode, config, rows=runner.slots, capacity=capacity, load_s=load_s)


def _calibrated(runner: Runner, config: EngineConfig, resolved: Resolved) -> Capacity:
    latent_s = runner.samples_per_latent / runner.sample_rate_hz
    share = config.cpu_share if resolved.kind == "cpu" else 1.0
    limit_s = step_limit_s(latent_s, config.ttfa_target_s)
    return Capacity(
        calibrate(runner, limit_s, share=share),
        latent_s=latent_s,
        ttfa_target_s=config.ttfa_target_s,
        most=runner.slots,
    )


def _why_too_slow(runner: Runner, capacity: Capacity, resolved: Resolved) -> str:
    latent_ms = runner.samples_per_latent / runner.sample_rate_hz * 1000
    return (
        f"{latent_ms:.0f} ms of speech take {capacity.expected_s(1) * 1000:.0f} ms on {resolved.device}"
        f" beside the rest of a call; {capacity.limit_s * 1000:.0f} ms are allowed"
    )


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


def _say_so(config: EngineConfig, resolved: Resolved, runner: TorchRunner, capacity: Capacity, load_s: float) -> None:
    logger.info(
        "VibeVoice speaks: device %s (configured %s), %s (configured %s), loaded in %.1f s, %d voices,"
        " %d slots, %d KV pages (%d MiB); capacity %d: a step takes %.0f ms for 1, %.0f ms for %d, allowed are %.0f ms",
        resolved.device,
        config.device,
        resolved.dtype,
        config.dtype,
        load_s,
        len(runner.voices),
        runner.slots,
        runner.total_pages,
        runner.sizes.bytes >> 20,
        capacity.rows,
        capacity.expected_s(1) * 1000,
        capacity.expected_s(capacity.rows) * 1000,
        capacity.rows,
        capacity.limit_s * 1000,
    )
    if not capacity.real_time:
        logger.warning("VibeVoice is slower than real time on %s: listeners will hear gaps", resolved.device)
