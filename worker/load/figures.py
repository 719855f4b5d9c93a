"""A run in figures: percentiles of first sound, lateness and refusal, and how many of each outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from worker.bench.figures import percentile
from worker.load.http import Run

PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Spread:
    """In seconds; None where nothing was measured."""

    n: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    worst: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    asked: int
    asked_per_s: float
    outcomes: dict[str, int]
    first_byte: Spread
    audible: Spread
    lateness: Spread  # of every piece after the first; below 0: it came before it was needed
    gap: Spread
    refusal: Spread
    underruns: int
    sound_s: float
    peak: int
    client_cores: float
    late_start: Spread

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def value(self, name: str) -> float | None:
        """A figure by its name on the command line: p99 (of the audible sample), first_byte.p50, underruns …"""
        if name in ("underruns", "errors"):
            return float(self.underruns if name == "underruns" else self.errors)
        group, _, percent = f"audible.{name}".rpartition(".") if "." not in name else name.rpartition(".")
        spread = getattr(self, group, None)
        if not isinstance(spread, Spread) or percent not in ("p50", "p90", "p95", "p99", "worst"):
            raise ValueError(
                f"there is no figure {name!r}; there are p50 to p99 and worst (of the audible sample), the same of "
                "first_byte, lateness, gap and refusal, such as first_byte.p95, and underruns and errors"
            )
        found: float | None = getattr(spread, percent)
        return found

    @property
    def errors(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome not in _NO_ERROR)


_NO_ERROR = {"ok", "at_capacity", "too_often", "too_many_at_once", "draining"}


def spread(samples: Sequence[float]) -> Spread:
    if not samples:
        return Spread(0, None, None, None, None, None)
    p50, p90, p95, p99 = (percentile(samples, percent) for percent in PERCENTS)
    return Spread(len(samples), p50, p90, p95, p99, max(samples))


def summary(run: Run) -> Summary:
    heard = [one for one in run.spoken if one.outcome == "ok"]
    return Summary(
        asked=len(run.spoken),
        asked_per_s=len(run.spoken) / run.wanted.duration_s,
        outcomes=dict(Counter(one.outcome for one in run.spoken).most_common()),
        first_byte=spread([one.first_byte_s for one in heard if one.first_byte_s is not None]),
        audible=spread([one.audible_s for one in heard if one.audible_s is not None]),
        lateness=spread([late for one in heard for late in one.lateness_s]),
        gap=spread([gap for one in heard for gap in one.gaps_s]),
        refusal=spread([one.ended_s for one in run.spoken if one.refused and one.ended_s is not None]),
        underruns=sum(one.underrun for one in heard),
        sound_s=sum(one.samples / one.rate_hz for one in heard),
        peak=run.peak,
        client_cores=run.client_cores,
        late_start=spread(run.late_starts_s),
    )
