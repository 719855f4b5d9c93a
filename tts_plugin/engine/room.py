"""How many utterances an opened model may serve at once: what was asked for, or the most, as far as memory goes."""

from __future__ import annotations

from collections.abc import Sequence

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.device import Resolved, free_bytes
from tts_plugin.engine.model.config import ModelConfig, WrongCheckpoint
from tts_plugin.engine.sizes import Sizes, VoiceLengths, fit

_MOST_SLOTS = {"cuda": 1024, "mps": 8, "cpu": 8}  # unless TTS_MAX_BATCH_SIZE says otherwise; memory may allow fewer


def make_room(config: EngineConfig, model: ModelConfig, voices: Sequence[VoiceLengths], resolved: Resolved) -> Sizes:
    """After the weights were loaded. Raises NotEnoughMemory, or WrongCheckpoint for a voice that is too long."""
    longest = max(voice.tts for voice in voices)
    if longest >= model.language.max_positions:
        raise WrongCheckpoint(
            f"a voice of {longest} positions leaves none of {model.language.max_positions} to speak in"
        )
    slots = config.max_batch_size or _MOST_SLOTS[resolved.kind]
    return fit(model, voices, slots, resolved.number_bytes, free_bytes(resolved))
