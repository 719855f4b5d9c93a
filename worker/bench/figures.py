"""Figures of a measurement and how they are written down: percentiles, a waterfall, a table in Markdown.

Pure. A percentile is the nearest rank: the smallest sample such that at least that share of all samples is not above
it. So with 20 samples p95 is the 19th; with fewer than 20 it is the worst one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured several times."""

    name: str
    samples: tuple[float, ...]
    reach: str  # what it should be
    unit: str = "s"

    @property
    def p50(self) -> float:
        return percentile(self.samples, 50)

    @property
    def p95(self) -> float:
        return percentile(self.samples, 95)

    @property
    def row(self) -> str:
        if not self.samples:
            return f"| {self.name} | – | – | – | 0 | {self.reach} |"
        worst = max(self.samples)
        cells = (_number(v, self.unit) for v in (self.p50, self.p95, worst))
        return f"| {self.name} | {' | '.join(cells)} | {len(self.samples)} | {self.reach} |"


@dataclass(slots=True)
class Result:
    """What one scenario gave."""

    scenario: str
    figures: list[Figure] = field(default_factory=list)
    waterfall: dict[str, list[float]] = field(default_factory=dict)  # stage → seconds after the user's last sample
    notes: list[str] = field(default_factory=list)
    failed: int = 0  # turns without an answer

    def as_dict(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "figures": [
                {"name": f.name, "unit": f.unit, "reach": f.reach, "n": len(f.samples), "samples": list(f.samples)}
                | ({"p50": f.p50, "p95": f.p95} if f.samples else {})
                for f in self.figures
            ],
            "waterfall": {stage: {"p50": percentile(v, 50), "samples": v} for stage, v in self.waterfall.items() if v},
            "notes": self.notes,
            "failed": self.failed,
        }


def percentile(samples: Sequence[float], percent: float) -> float:
    """Nearest rank; ValueError when there is no sample."""
    if not samples:
        raise ValueError("no sample, no percentile")
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]


def table(results: Sequence[Result]) -> str:
    """All figures as one Markdown table."""
    head = ["| what | p50 | p95 | worst | n | to reach |", "|---|---|---|---|---|---|"]
    return "\n".join(head + [f.row for r in results for f in r.figures])


def waterfall(stages: Mapping[str, Sequence[float]]) -> str:
    """Each stage in Markdown, in the order in which they come; `after` is the time since the one before."""
    rows = sorted((percentile(v, 50), percentile(v, 95), len(v), stage) for stage, v in stages.items() if v)
    lines = ["| stage (seconds after the user's last sample) | p50 | after | p95 | n |", "|---|---|---|---|---|"]
    before = 0.0
    for median, high, count, stage in rows:
        lines.append(f"| {stage} | {median:.2f} | {median - before:+.2f} | {high:.2f} | {count} |")
        before = median
    return "\n".join(lines)


def _number(value: float, unit: str) -> str:
    if unit == "s":
        return f"{1000 * value:.0f} ms" if value < 0.1 else f"{value:.2f} s"
    return f"{value:.0f} {unit}".strip() if unit != "GiB" else f"{value:.2f} GiB"
