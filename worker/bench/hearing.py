"""What a caller heard, and when: the agent's audio frame by frame with its time of arrival.

Knows nothing of LiveKit. Times are monotonic seconds; `audible` means that a sample of the frame is above 1 % of full
scale. A frame is stamped when it arrives, so every answer is right to the length of one frame (10 ms).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

FULL_SCALE = 32767
AUDIBLE_PEAK = FULL_SCALE // 100
SOUND_FRAMES = 3  # in a row; less is a click, as a connection that breaks may give
BREAK_S = 0.1  # without a frame: what comes then is another sound
MAX_FRAMES = 180_000  # half an hour of 10 ms frames, 86 MB at 24 kHz: the longest call


@dataclass(frozen=True, slots=True)
class Frame:
    at_s: float
    peak: int
    pcm: bytes  # pcm_s16le, mono

    @property
    def audible(self) -> bool:
        return self.peak > AUDIBLE_PEAK


class Hearing:
    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._frames: deque[Frame] = deque(maxlen=MAX_FRAMES)
        self._last_audible_s: float | None = None

    def add(self, at_s: float, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, np.int16)
        peak = int(np.abs(samples.astype(np.int32)).max()) if samples.size else 0
        frame = Frame(at_s, peak, pcm)
        self._frames.append(frame)
        if frame.audible:
            self._last_audible_s = at_s

    def first_audible(self, after_s: float) -> float | None:
        """When the first audible frame after `after_s` came."""
        first = None
        for frame in reversed(self._frames):
            if frame.at_s <= after_s:
                break
            if frame.audible:
                first = frame.at_s
        return first

    def last_audible(self, *, before_s: float | None = None) -> float | None:
        """When the last audible frame (before `before_s`) came."""
        if before_s is None:
            return self._last_audible_s
        return next((f.at_s for f in reversed(self._frames) if f.audible and f.at_s < before_s), None)

    def audible_s(self, from_s: float, until_s: float) -> float:
        """Seconds of audible frames that came between the two times."""
        samples = sum(len(f.pcm) // 2 for f in self._between(from_s, until_s) if f.audible)
        return samples / self.sample_rate_hz

    def end_of_sound(self, from_s: float, gap_s: float) -> float | None:
        """The last audible moment before the first silence of `gap_s` after `from_s`; `from_s` if none was audible."""
        last = from_s
        for frame in self._between(from_s, float("inf")):
            if frame.at_s - last >= gap_s:
                return last
            if frame.audible:
                last = frame.at_s
        return None

    def longest_silence(self, from_s: float, until_s: float) -> float:
        """Seconds; also from `from_s` to the first sound, and where no frame came at all. A click is no sound."""
        longest, last, run = 0.0, from_s, 0
        began = before = from_s
        for frame in self._between(from_s, until_s):
            unbroken = run > 0 and frame.at_s - before < BREAK_S
            run = 0 if not frame.audible else run + 1 if unbroken else 1
            began, before = (frame.at_s if run == 1 else began), frame.at_s
            if run >= SOUND_FRAMES:
                longest, last = max(longest, began - last), frame.at_s
        return max(longest, until_s - last)

    def samples(self, from_s: float, until_s: float = float("inf")) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """[T] float32 in −1…1: what came between the two times."""
        pcm = b"".join(f.pcm for f in self._between(from_s, until_s))
        return (np.frombuffer(pcm, np.int16) / np.float32(FULL_SCALE + 1)).astype(np.float32)

    def _between(self, from_s: float, until_s: float) -> list[Frame]:
        found: list[Frame] = []
        for frame in reversed(self._frames):
            if frame.at_s <= from_s:
                break
            if frame.at_s < until_s:
                found.append(frame)
        return found[::-1]
