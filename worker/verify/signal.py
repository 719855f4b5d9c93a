"""What can be measured in a sound without knowing what it says: silence, clipping, clicks, a cut end.

Pure. Samples are float32 in −1…1, mono; times in seconds; levels in decibels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FRAME_S = 0.010
QUIET_DB = -35.0  # below the loud parts: what counts as silence
SILENT_DBFS = -60.0  # nothing below it is heard, however quiet the rest is
LOUD_PERCENTILE = 90.0  # of the frames' levels
FULL_SCALE = 0.9995
CLIPPED_RUN = 3  # samples at full scale in a row; a single one is only loud
CLICK_AROUND_S = 0.020  # one period of the lowest voice
CLICK_FLOOR = 0.003  # of full scale; a smaller jump is not heard, even in silence
_NO_SOUND_DB = -120.0


class Silence(NamedTuple):
    """Seconds before the first sound, after the last one, and the longest in between."""

    leading_s: float
    trailing_s: float
    longest_pause_s: float


def silence(samples: Samples, rate_hz: int) -> Silence:
    """A sound without any sound is leading silence from end to end."""
    sounding = np.flatnonzero(_sounding(levels_db(samples, rate_hz)))
    if not sounding.size:
        return Silence(len(samples) / rate_hz, 0.0, 0.0)
    frame = _frame(rate_hz)
    last = min(len(samples), int(sounding[-1] + 1) * frame)
    gaps = np.diff(sounding) - 1
    longest = int(gaps.max()) if gaps.size else 0
    return Silence(sounding[0] * FRAME_S, (len(samples) - last) / rate_hz, longest * FRAME_S)


def clipped_share(samples: Samples) -> float:
    """Samples in runs at full scale ÷ all samples."""
    if not samples.size:
        return 0.0
    full = np.concatenate(([False], np.abs(samples) >= FULL_SCALE, [False]))
    edges = np.flatnonzero(np.diff(full.astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= CLIPPED_RUN].sum() / samples.size)


def worst_click(samples: Samples, rate_hz: int, joins: Iterable[int]) -> float:
    """The largest jump at a join ÷ the largest jump of the sound around it; a join is the first sample of a chunk.

    A jump is what one sample differs from the straight line through the two before it. 1 and less is no click.
    """
    jumps = np.abs(np.diff(samples.astype(np.float64), 2, prepend=samples[:1].repeat(2)))
    return max((_click(jumps, join, round(CLICK_AROUND_S * rate_hz)) for join in joins), default=0.0)


def end_level_db(samples: Samples, rate_hz: int) -> float:
    """The last 10 ms against the loud parts. Speech that ends by itself fades; speech that was cut does not."""
    levels = levels_db(samples, rate_hz)
    if not levels.size:
        return _NO_SOUND_DB
    last = _level_db(samples[-_frame(rate_hz) :])
    return float(last - _loud(levels)) if last > SILENT_DBFS else _NO_SOUND_DB


def levels_db(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """The level of each 10 ms against full scale."""
    frame = _frame(rate_hz)
    return np.array([_level_db(samples[i : i + frame]) for i in range(0, len(samples), frame)], np.float64)


def _click(jumps: NDArray[np.float64], join: int, around: int) -> float:
    """A jump in one sample is seen in three second differences: those are the join's, the rest is the sound's."""
    if not 0 < join < len(jumps):
        return 0.0
    at = jumps[join : join + 3].max()
    before, after = jumps[max(0, join - around) : join], jumps[join + 3 : join + around]
    beside = max((float(side.max()) for side in (before, after) if side.size), default=0.0)
    return float(at / max(beside, CLICK_FLOOR))


def _sounding(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    threshold = max(SILENT_DBFS, _loud(levels) + QUIET_DB) if levels.size else 0.0
    return np.asarray(levels > threshold)


def _loud(levels: NDArray[np.float64]) -> float:
    return float(np.percentile(levels, LOUD_PERCENTILE))


def _level_db(samples: Samples) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return float(10 * np.log10(power)) if power > 1e-12 else _NO_SOUND_DB


def _frame(rate_hz: int) -> int:
    return round(FRAME_S * rate_hz)
