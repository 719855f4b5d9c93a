"""An engine without a model, in a process of its own: `python -m worker.bench.null_engine SLOTS STEP_MS`.

Each step lasts as long as it is told to, as on a graphics card: it sleeps. The samples of every latent begin with the
moment at which its step was over (monotonic, µs), so that a client on the same machine knows how long they were on
their way. Prints the port, serves until SIGTERM.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tts_plugin import server
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.runner import Made, Row
from tts_plugin.engine.tokenizer import load_vocabulary
from tts_plugin.engine.vibevoice import VibeVoiceBackend
from worker.bench.null_runner import NullRunner

_BITS, _DIGITS, _FULL_SCALE = 14, 4, 32767


class StampingRunner(NullRunner):
    def __init__(self, slots: int, step_s: float) -> None:
        super().__init__(slots)
        self._step_s = step_s
        self._noise = np.random.default_rng(0)  # silence, or the same again and again, would be ended as no speech

    def step(self, rows: Sequence[Row]) -> list[Made]:
        time.sleep(self._step_s)
        loudness = self._noise.uniform(0.02, 0.2)
        samples = self._noise.standard_normal(self.samples_per_latent).astype(np.float32) * np.float32(loudness)
        samples[:_DIGITS] = write_stamp(time.monotonic())
        return [Made(samples, False)] * len(rows)


def write_stamp(monotonic_s: float) -> NDArray[np.float32]:
    """Four samples that hold a moment through the conversion to 16 bits."""
    us = int(monotonic_s * 1e6)
    digits = [(us >> (_BITS * place)) & (2**_BITS - 1) for place in range(_DIGITS)]
    return ((np.array(digits) + 0.5) / _FULL_SCALE).astype(np.float32)


def read_stamp(pcm: bytes) -> float:
    """The moment that a latent's samples, as pcm_s16le, begin with."""
    digits = np.frombuffer(pcm, np.int16, _DIGITS)
    return float(sum(int(digit) << (_BITS * place) for place, digit in enumerate(digits)) / 1e6)


def main() -> None:
    slots, step_s = int(sys.argv[1]), float(sys.argv[2]) / 1000
    backend = VibeVoiceBackend(StampingRunner(slots, step_s), load_vocabulary(), EngineConfig(), rows=slots)
    listener = server.bind("127.0.0.1", 0)
    listener.listen(512)
    print(listener.getsockname()[1], flush=True)
    server.serve(server.create_app(backend), listener)


if __name__ == "__main__":
    main()
