"""What `tts-ops bench engine` found, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.bench import machine
from worker.bench.figures import percentile
from worker.bench.open_loop import Load, spread
from worker.bench.together import Timing


@dataclass(frozen=True, slots=True)
class Batch:
    """What one size of batch took. `cpu_s` is the whole process's, `cpu_ms` its share of one frame of an utterance."""

    utterances: int
    timings: tuple[Timing, ...]
    cpu_s: float
    step_cpu_s: tuple[float, ...]  # of a null runner, between steps with all utterances in them
    memory_bytes: int
    device_bytes: int | None  # the most that tensors took on a CUDA device
    roof_s: float | None = None  # the shortest time for a step of so many, by the device's own ceilings

    @property
    def frames(self) -> int:
        return sum(len(timing.chunks) for timing in self.timings)

    @property
    def ttfa_s(self) -> tuple[float, ...]:
        return tuple(timing.ttfa_s for timing in self.timings)

    @property
    def frame_s(self) -> tuple[float, ...]:
        return tuple(seconds for timing in self.timings for seconds in timing.frame_s)

    @property
    def rtf(self) -> float:
        return percentile([timing.rtf for timing in self.timings], 50)

    @property
    def late(self) -> int:
        return sum(timing.late for timing in self.timings)

    @property
    def over_roof(self) -> float | None:
        """A frame's time in multiples of the roofline's."""
        return percentile(self.frame_s, 50) / self.roof_s if self.roof_s and self.frame_s else None

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.frames

    def as_dict(self) -> dict[str, Any]:
        return {
            "batch": self.utterances,
            "frames": self.frames,
            "late_frames": self.late,
            "rtf": self.rtf,
            "ttfa_s": percentiles(self.ttfa_s),
            "frame_s": percentiles(self.frame_s),
            "cpu_ms_per_frame": self.cpu_ms,
            "cpu_s_per_step": percentiles(self.step_cpu_s),
            "memory_bytes": self.memory_bytes,
            "device_bytes": self.device_bytes,
            "roofline_s": self.roof_s,
            "frame_over_roofline": self.over_roof,
        }


@dataclass(frozen=True, slots=True)
class Rate:
    """The same rate of requests with several seeds."""

    loads: tuple[Load, ...]

    @property
    def rate(self) -> float:
        return self.loads[0].rate

    @property
    def ttfa_s(self) -> tuple[float, ...]:
        return tuple(seconds for load in self.loads for seconds in load.ttfa_s)

    @property
    def audible_s(self) -> tuple[float, ...]:
        return tuple(seconds for load in self.loads for seconds in load.audible_s)

    def total(self, name: str) -> int:
        return sum(int(getattr(load, name)) for load in self.loads)

    @property
    def spread_s(self) -> float:
        """Between the seeds, of the 95th percentile of TTFA."""
        return spread([percentile(load.ttfa_s, 95) for load in self.loads if load.ttfa_s])

    def as_dict(self) -> dict[str, Any]:
        return {
            "rate_per_s": self.rate,
            "arrivals": "open loop, Poisson",
            "seeds": [load.seed for load in self.loads],
            "duration_s": self.loads[0].duration_s,
            "requests": sum(len(load.heard) for load in self.loads),
            "refused": self.total("refused"),
            "failed": self.total("failed"),
            "ttfa_s": percentiles(self.ttfa_s),
            "ttfa_p95_spread_s": self.spread_s,
            "audible_ttfa_s": percentiles(self.audible_s),
            "listeners_who_ran_dry": self.total("underruns"),
            "late_frames": self.total("late"),
            "frames": self.total("frames"),
            "peak_in_flight": max(load.peak for load in self.loads),
        }


def write(about: dict[str, Any], measured: Sequence[Batch], rates: Sequence[Rate]) -> None:
    """Print everything in Markdown."""
    weights = f", random weights of {about['random_weights']} size" if about["random_weights"] else ""
    here = about["machine"]
    print(f"\n{about['backend']} on {about['device']}, {about['dtype']}{weights}, ready after {about['load_s']:.1f} s")
    print(f"tts-ops {about['version']}, {about['date']}; {here['cores']} cores {here['cpu']}, ", end="")
    print(f"{here['memory_gib']} GiB, {here['busy_percent']:.0f} % busy before\n")
    if measured:
        print(_head("batch", "TTFA p50", "p95", "frame p50", "p95", "RTF", "late frames", *_BATCH_ENDS))
        for batch in measured:
            print(_row(batch))
    for batch in measured:
        if batch.step_cpu_s:
            p50, p95 = (_ms(percentile(batch.step_cpu_s, percent)) for percent in (50, 95))
            print(f"\n{batch.utterances} utterances without a model: a step takes {p50} CPU (p95 {p95})")
    if rates:
        print(f"\nOpen loop, Poisson arrivals, client in the same process, {len(rates[0].loads)} seeds\n")
        print(_head("requests/s", "n", "TTFA p50", "p95", "p99", "spread of p95", "audible p95", *_RATE_ENDS))
        for rate in rates:
            print(_rate_row(rate))


_BATCH_ENDS = ("CPU per frame", "over roofline", "memory")
_RATE_ENDS = ("ran dry", "late frames", "peak", "refused", "failed")


def _head(*names: str) -> str:
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _row(batch: Batch) -> str:
    cells = [
        f"{batch.utterances}",
        *(_ms(percentile(batch.ttfa_s, percent)) for percent in (50, 95)),
        *(_ms(percentile(batch.frame_s, percent)) for percent in (50, 95)),
        f"{batch.rtf:.2f}",
        f"{batch.late} of {batch.frames}",
        f"{batch.cpu_ms:.3g} ms",
        f"{batch.over_roof:.1f} ×" if batch.over_roof else "–",
        f"{batch.memory_bytes / machine.GIB:.2f} GiB"
        + (f" + {batch.device_bytes / machine.GIB:.2f} on the device" if batch.device_bytes is not None else ""),
    ]
    return f"| {' | '.join(cells)} |"


def _rate_row(rate: Rate) -> str:
    cells = [
        f"{rate.rate:g}",
        f"{sum(len(load.heard) for load in rate.loads)}",
        *(_ms(percentile(rate.ttfa_s, percent)) if rate.ttfa_s else "–" for percent in (50, 95, 99)),
        _ms(rate.spread_s),
        _ms(percentile(rate.audible_s, 95)) if rate.audible_s else "–",
        f"{rate.total('underruns')}",
        f"{rate.total('late')} of {rate.total('frames')}",
        f"{max(load.peak for load in rate.loads)}",
        f"{rate.total('refused')}",
        f"{rate.total('failed')}",
    ]
    return f"| {' | '.join(cells)} |"


def percentiles(samples: Sequence[float]) -> dict[str, float] | None:
    return {f"p{percent}": percentile(samples, percent) for percent in (50, 95, 99)} if samples else None


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
