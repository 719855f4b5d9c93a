"""Which voice engine speaks: opens the back-end that the configuration names, or says what to set instead."""

from __future__ import annotations

import logging

from tts_plugin import hub, voices
from tts_plugin.engine.allocator import give_memory_back
from tts_plugin.engine.backend import Backend, Refused
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.device import has_onnx, has_torch
from tts_plugin.engine.model.config import WrongCheckpoint

logger = logging.getLogger(__name__)

_NOTHING_COMPUTES = (
    "VibeVoice needs ONNX Runtime (on a CPU) or torch; neither is installed: run make vibevoice-cpu or make vibevoice"
    " (elsewhere: pip install 'tts-ops[cpu]' or 'tts-ops[engine]')"
)


class EngineError(RuntimeError):
    """The engine cannot start: one line that says what to do."""


def open_backend(config: EngineConfig) -> Backend:
    """Loads the model: a second for the embedded voice, some for VibeVoice. Raises EngineError."""
    if config.backend == "vibevoice":
        return _open_vibevoice(config, _found(config), real_time_only=False)
    if config.backend == "auto":
        backend, why = _vibevoice_or_why_not(config)
        return backend or _open_embedded(config, why)
    return _open_embedded(config, "it was asked for")


def _vibevoice_or_why_not(config: EngineConfig) -> tuple[Backend | None, str]:
    """auto takes VibeVoice where its files are and it runs in real time. A folder that was named must be right."""
    files = _files(config)
    if files is None:
        return None, "VibeVoice was not pulled: tts-ops pull does"
    if not (has_onnx() or has_torch()):
        return None, _NOTHING_COMPUTES
    from tts_plugin.engine.onnx.problem import CannotKeep
    from tts_plugin.engine.open_vibevoice import TooSlow

    try:
        return _open_vibevoice(config, files, real_time_only=True), ""
    except EngineError as error:
        if isinstance(error.__cause__, CannotKeep):
            logger.warning("VibeVoice is here, but %s", error)
            return None, str(error)
        raise
    except TooSlow as error:
        logger.warning("VibeVoice is here, but it is too slow: %s", error)
        return None, f"VibeVoice does not run in real time here: {error}"


def _found(config: EngineConfig) -> hub.ModelFiles:
    files = _files(config)
    if files is None:
        raise EngineError(
            f"TTS_BACKEND is 'vibevoice', but {config.model_name} is not on this machine: run tts-ops pull"
        )
    return files


def _files(config: EngineConfig) -> hub.ModelFiles | None:
    try:
        return hub.locate(config.model_name, config.model_path)
    except WrongCheckpoint as error:
        raise EngineError(str(error)) from None


def _open_vibevoice(config: EngineConfig, files: hub.ModelFiles, *, real_time_only: bool) -> Backend:
    if not (has_onnx() or has_torch()):
        raise EngineError(_NOTHING_COMPUTES)
    from tts_plugin.engine.device import NoSuchDevice
    from tts_plugin.engine.onnx.problem import CannotKeep
    from tts_plugin.engine.open_vibevoice import open_vibevoice
    from tts_plugin.engine.sizes import NotEnoughMemory
    from tts_plugin.engine.tokenizer import WrongVocabulary
    from tts_plugin.preset import WrongPreset

    try:
        backend = open_vibevoice(config, files, real_time_only=real_time_only)
        if config.default_voice != voices.DEFAULT_VOICE:
            voices.find(config.default_voice, backend.voices)
        return backend
    except (CannotKeep, NoSuchDevice, NotEnoughMemory, WrongCheckpoint, WrongPreset, WrongVocabulary) as error:
        raise EngineError(str(error)) from error
    except Refused as refused:
        backend.close()
        raise EngineError(f"TTS_VOICE: {refused.message}") from None


def _open_embedded(config: EngineConfig, why: str) -> Backend:
    from tts_plugin.engine.embedded import EmbeddedBackend
    from tts_plugin.engine.hibari_voice import HibariVoice

    try:
        if config.default_voice != voices.DEFAULT_VOICE:
            voices.find(config.default_voice, voices.EMBEDDED)
        give_memory_back()
        backend = EmbeddedBackend(HibariVoice(), config)
    except ImportError as error:
        raise EngineError(
            f"the embedded voice is not installed ({error}): run pip install 'tts-ops[embedded]'"
        ) from error
    except Refused as refused:
        raise EngineError(f"TTS_VOICE: {refused.message}") from None
    logger.info(
        "the embedded voice speaks (%s): %d slots on the CPU, loaded in %.1f s",
        why,
        backend.statistics().slots,
        backend.statistics().model_load_s,
    )
    return backend
