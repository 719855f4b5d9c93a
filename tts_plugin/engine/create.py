"""Which voice engine speaks: opens the back-end that the configuration names, or says what to set instead."""

from __future__ import annotations

import logging

from tts_plugin import voices
from tts_plugin.engine.backend import Backend, Refused
from tts_plugin.engine.config import EngineConfig

logger = logging.getLogger(__name__)


class EngineError(RuntimeError):
    """The engine cannot start: one line that says what to do."""


def open_backend(config: EngineConfig) -> Backend:
    """Loads the model (about a second for the embedded voice). Raises EngineError."""
    if config.backend == "vibevoice":
        raise EngineError(
            "TTS_BACKEND is 'vibevoice', but this build has no VibeVoice back-end yet; allowed: auto, embedded"
        )
    backend = _open_embedded(config)
    why = "it was asked for" if config.backend == "embedded" else "this build has no other back-end yet"
    logger.info(
        "the embedded voice speaks (%s): %d slots on the CPU, loaded in %.1f s",
        why,
        backend.statistics().slots,
        backend.statistics().model_load_s,
    )
    return backend


def _open_embedded(config: EngineConfig) -> Backend:
    from tts_plugin.engine.embedded import EmbeddedBackend
    from tts_plugin.engine.hibari_voice import HibariVoice

    try:
        if config.default_voice != voices.DEFAULT_VOICE:
            voices.find(config.default_voice, voices.EMBEDDED)
        return EmbeddedBackend(HibariVoice(), config)
    except ImportError as error:
        raise EngineError(
            f"the embedded voice is not installed ({error}): run pip install 'tts-ops[embedded]'"
        ) from error
    except Refused as refused:
        raise EngineError(f"TTS_VOICE: {refused.message}") from None
