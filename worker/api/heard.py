"""What is said in a file: the VAD of the calls finds its speech, the recogniser that is set up hears it piece by piece.

So every recogniser gives times, and none is asked for more than half a minute at once. Knows neither HTTP nor files.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APITimeoutError, stt
from livekit.agents.types import NOT_GIVEN
from livekit.local_inference import VAD

from worker.api.errors import ApiError
from worker.speech_segments import BEGIN_WINDOWS, PRE_ROLL_WINDOWS, WINDOW_S, WINDOW_SAMPLES, Edge, SpeechSegments

RATE_HZ = 16_000
PIECE_TIMEOUT_S = 30.0
_WINDOW_BYTES = 2 * WINDOW_SAMPLES
_TRIES = APIConnectOptions(max_retry=1, retry_interval=0.5, timeout=PIECE_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Said:
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of speech; `pcm` begins a little before `start_s`."""

    start_s: float
    end_s: float
    pcm: bytes


class Stretches:
    """Finds them in pcm_s16le of 16 kHz."""

    def __init__(self, pcm: IO[bytes]) -> None:
        self._pcm = pcm
        self._vad = VAD()
        self._segments = SpeechSegments()
        self._before: deque[bytes] = deque(maxlen=PRE_ROLL_WINDOWS + BEGIN_WINDOWS)
        self._taken: list[bytes] = []
        self._lead = 0  # windows of `_taken` before the speech
        self._windows = 0

    def next(self) -> Stretch | None:
        """None: there is no more. Computes 0.1 s for a minute of sound."""
        while window := self._pcm.read(_WINDOW_BYTES):
            window = window.ljust(_WINDOW_BYTES, b"\0")
            self._windows += 1
            edge = self._segments.feed(self._vad.predict(np.frombuffer(window, np.int16)))
            self._before.append(window)
            if edge is Edge.BEGIN:
                self._taken = list(self._before)
                self._lead = len(self._taken) - BEGIN_WINDOWS
            elif self._taken:
                self._taken.append(window)
            if edge in (Edge.END, Edge.CUT):
                return self._take()
        return self._take() if self._taken else None

    def _take(self) -> Stretch:
        end = self._windows - self._segments.silent_windows
        begin = self._windows - len(self._taken) + self._lead
        stretch = Stretch(begin * WINDOW_S, end * WINDOW_S, b"".join(self._taken))
        self._taken = []
        self._before.clear()
        return stretch


async def hear(pcm: IO[bytes], recogniser: stt.STT[Any], language: str | None) -> AsyncIterator[Said]:
    """Each stretch as it is heard. ApiError when the recogniser fails."""
    stretches = Stretches(pcm)
    while stretch := await asyncio.to_thread(stretches.next):
        samples = len(stretch.pcm) // 2
        frame = rtc.AudioFrame(stretch.pcm, RATE_HZ, 1, samples)
        try:
            event = await recogniser.recognize(frame, language=language or NOT_GIVEN, conn_options=_TRIES)
        except APITimeoutError as error:
            raise ApiError(504, "stt_timeout", f"The recogniser was silent for {PIECE_TIMEOUT_S:g} s.") from error
        except APIConnectionError as error:
            raise ApiError(
                503, "stt_unreachable", "The recogniser does not answer, or is busy with calls.", retry_after_s=5
            ) from error
        except APIError as error:
            raise ApiError(502, "stt_refused", "The recogniser refuses; the service's log says why.") from error
        text = event.alternatives[0].text.strip() if event.alternatives else ""
        if text:
            yield Said(round(stretch.start_s, 3), round(stretch.end_s, 3), text)
