"""A back-end whose sound has one fault; everything else is the real one's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tts_plugin.engine.backend import Backend, Emit, Event, Statistics, Utterance, Voice
from tts_plugin.protocol import Audio, Done, Say

Pcm = NDArray[np.int16]
Spoil = Callable[[int, Pcm], Pcm]  # the chunk's first sample, the chunk; may only shorten the end of what is said


class SpoiledBackend:
    name = "spoiled"

    def __init__(self, real: Backend, spoil: Spoil, voice: Voice | None = None) -> None:
        """`voice`: under which the real default voice is presented."""
        self._real, self._spoil, self._voice = real, spoil, voice
        self.sample_rate_hz = real.sample_rate_hz

    @property
    def voices(self) -> tuple[Voice, ...]:
        return (self._voice,) if self._voice else self._real.voices

    def admit(self, say: Say, emit: Emit) -> Utterance:
        sent = 0

        def spoiled(event: Event) -> None:
            nonlocal sent
            if isinstance(event, Audio):
                pcm = self._spoil(event.offset, np.frombuffer(event.pcm, np.int16))
                event = Audio(event.id, sent, pcm.tobytes())
                sent += event.samples
                if not pcm.size:
                    return
            emit(replace(event, samples=sent) if isinstance(event, Done) else event)

        return self._real.admit(replace(say, voice="default") if self._voice else say, spoiled)

    def statistics(self) -> Statistics:
        return self._real.statistics()

    def close(self) -> None:
        pass


def whole(start: int, pcm: Pcm) -> Pcm:
    return pcm


def click(start: int, pcm: Pcm) -> Pcm:
    """Every chunk but the first begins with a step that dies away."""
    if not start:
        return pcm
    step = 6_000 * np.exp(-np.arange(len(pcm)) / 600)
    return np.clip(pcm + step, -32_768, 32_767).astype(np.int16)


def clip(start: int, pcm: Pcm) -> Pcm:
    return np.clip(pcm.astype(np.int32) * 8, -32_768, 32_767).astype(np.int16)


def cut(start: int, pcm: Pcm) -> Pcm:
    """Nothing after 0.8 s."""
    return pcm[: max(0, 19_200 - start)]


def slow_start(start: int, pcm: Pcm) -> Pcm:
    return pcm if start else np.concatenate([np.zeros(24_000, np.int16), pcm])
