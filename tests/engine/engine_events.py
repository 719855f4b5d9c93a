"""What a back-end tells of one utterance, collected, with deadlines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tts_plugin.engine.backend import Event
from tts_plugin.protocol import Audio, Done, Failed, Word, Words

WAIT_S = 15.0
T = TypeVar("T")


class Events:
    """Pass it as `emit`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.all: list[Event] = []
        self.at: list[float] = []

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.all.append(event)
            self.at.append(time.monotonic())
            self._changed.notify_all()

    def wait(self, condition: Callable[[Events], T], within_s: float = WAIT_S) -> T:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), within_s), f"not within {within_s} s: {self.kinds}"
            return condition(self)

    def wait_end(self, within_s: float = WAIT_S) -> Done | Failed:
        return self.wait(lambda events: events.end, within_s)

    def wait_done(self) -> Done:
        end = self.wait_end()
        assert isinstance(end, Done), end
        return end

    @property
    def end(self) -> Done | Failed | None:
        return next((e for e in self.all if isinstance(e, Done | Failed)), None)

    @property
    def kinds(self) -> list[str]:
        return [type(e).__name__ for e in self.all]

    @property
    def audio(self) -> list[Audio]:
        return [e for e in self.all if isinstance(e, Audio)]

    @property
    def pcm(self) -> bytes:
        return b"".join(a.pcm for a in self.audio)

    @property
    def samples(self) -> int:
        return len(self.pcm) // 2

    @property
    def words(self) -> list[Word]:
        return [word for e in self.all if isinstance(e, Words) for word in e.words]

    @property
    def first_audio_at(self) -> float:
        return next(at for at, e in zip(self.at, self.all, strict=True) if isinstance(e, Audio))


def as_float(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.002)
