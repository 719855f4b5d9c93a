"""VibeVoice with random weights as a back-end: the arithmetic and the memory of the real one, without a download.

It speaks noise within full scale and never ends by itself. `null` is no model at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError
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
        raise EngineError(f"{error}: run make vibevoice (elsewhere: pip install 'tts-ops[engine]')") from error


def _open(size: Size, config: EngineConfig, rows: int) -> VibeVoiceBackend:
    from tts_plugin.engine.device import NoSuchDevice, free_bytes, resolve
    from tts_plugin.engine.model.dpm_solver import make_schedule
    from tts_plugin.engine.model.random_weights import REALTIME_05B, SMALL, random_voice, random_weights
    from tts_plugin.engine.sizes import NotEnoughMemory, VoiceLengths, fit
    from tts_plugin.engine.tokenizer import load_vocabulary
    from tts_plugin.engine.torch_runner import TorchRunner

    model = REALTIME_05B if size == "real" else SMALL
    try:
        resolved = resolve(config.device, config.dtype)
        network = random_weights(model, device=resolved.torch_device, dtype=resolved.torch_dtype)
        network.decoder.head.weight.data.mul_(_LOUDNESS)
        voice = random_voice(model, *_POSITIONS, like=network.embed_tokens.weight)
        number_bytes = resolved.torch_dtype.itemsize
        sizes = fit(model, [VoiceLengths(*_POSITIONS, 1)], rows, number_bytes, free_bytes(resolved))
    except (NoSuchDevice, NotEnoughMemory) as error:
        raise EngineError(str(error)) from None
    if sizes.slots < rows:
        raise EngineError(f"memory for {sizes.slots} utterances at once, not for {rows}: ask for a smaller --batch")
    schedule = make_schedule(config.solver, config.solver_steps, model.diffusion.train_steps)
    runner = TorchRunner(network, {VOICE: voice}, schedule, sizes)
    return VibeVoiceBackend(runner, load_vocabulary(), config, rows=rows)
