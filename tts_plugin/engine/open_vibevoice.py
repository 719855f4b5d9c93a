"""Opens VibeVoice: finds its files, resolves the device, loads weights and voices, sizes memory, warms up, says so."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Protocol

from tts_plugin.engine.calibration import calibrate
from tts_plugin.engine.capacity import Capacity, step_limit_s
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.device import Resolved, resolve
from tts_plugin.engine.runner import Runner
from tts_plugin.engine.sizes import Sizes
from tts_plugin.engine.tokenizer import load_vocabulary
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from tts_plugin.hub import ModelFiles
from tts_plugin.preset import WrongPreset, verify

logger = logging.getLogger(__name__)


class SizedRunner(Runner, Protocol):
    sizes: Sizes


class TooSlow(RuntimeError):
    """Not even one utterance runs in real time here."""


def open_vibevoice(config: EngineConfig, files: ModelFiles, *, real_time_only: bool = False) -> VibeVoiceBackend:
    """Raises NoSuchDevice, WrongCheckpoint, WrongPreset, WrongVocabulary, NotEnoughMemory or CannotKeep.

    With real_time_only, TooSlow where not even one utterance is.
    """
    started = time.monotonic()
    resolved = resolve(config.device, config.dtype)
    runner = _open_runner(config, files, resolved)
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


def _open_runner(config: EngineConfig, files: ModelFiles, resolved: Resolved) -> SizedRunner:
    voices = _voice_files(files)
    if resolved.runtime == "onnx":
        from tts_plugin.engine.open_onnx import open_onnx_runner

        return open_onnx_runner(config, files, voices, resolved)
    from tts_plugin.engine.open_torch import open_torch_runner

    return open_torch_runner(config, files, voices, resolved)


def _voice_files(files: ModelFiles) -> dict[str, Path]:
    """Every voice's file, verified. Raises WrongPreset."""
    if not files.voice_ids:
        raise WrongPreset(f"there is no voice in {files.voices}: fetch them with tts-ops pull")
    for voice in files.voice_ids:
        verify(files.voices, voice)
    return {voice: files.voices / f"{voice}.safetensors" for voice in files.voice_ids}


def _say_so(config: EngineConfig, resolved: Resolved, runner: SizedRunner, capacity: Capacity, load_s: float) -> None:
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
