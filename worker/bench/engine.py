"""`tts-ops bench engine`: how long a voice takes, alone and with others, without a network between.

Measures the configured back-end, or VibeVoice's arithmetic with random weights, in this process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import psutil

from tts_plugin import __version__
from tts_plugin.engine.backend import Backend, Refused
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError, open_backend
from worker.bench import machine
from worker.bench.figures import percentile
from worker.bench.null_runner import NullRunner
from worker.bench.random_model import Size, open_random
from worker.bench.together import NotSaid, Timing, say_together
from worker.settings import Settings, SettingsError

MAX_BATCH, MAX_FRAMES = 1024, 200  # so many frames need no credit
WARM_UP_FRAMES = 3
BUSY_PERCENT = 20.0
SIZES: tuple[Size, ...] = ("real", "small", "null")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one size of batch took. `cpu_s` is the whole process's, `cpu_ms` its share of one frame of an utterance."""

    utterances: int
    timings: tuple[Timing, ...]
    cpu_s: float
    step_cpu_s: tuple[float, ...]  # of a null runner, between steps with all utterances in them
    memory_bytes: int
    device_bytes: int | None  # the most that tensors took on a CUDA device

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
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.frames

    def as_dict(self) -> dict[str, Any]:
        return {
            "batch": self.utterances,
            "frames": self.frames,
            "late_frames": self.late,
            "rtf": self.rtf,
            "ttfa_s": _p50_p95(self.ttfa_s),
            "frame_s": _p50_p95(self.frame_s),
            "cpu_ms_per_frame": self.cpu_ms,
            "cpu_s_per_step": _p50_p95(self.step_cpu_s),
            "memory_bytes": self.memory_bytes,
            "device_bytes": self.device_bytes,
        }


def run(
    settings: Settings,
    *,
    random_weights: bool = False,
    size: str = "real",
    device: str | None = None,
    batches: str = "1,4",
    frames: int = 20,
    json_path: Path | None = None,
) -> int:
    """Measure and print. 0: done; 1: the engine did not start, or did not speak."""
    counts = _counts(batches)
    if size not in SIZES:
        raise SettingsError(f"--size is {size!r}; allowed: {', '.join(SIZES)}")
    config = replace(settings.engine, device=device or settings.engine.device)
    here = machine.describe()
    if here.busy_percent > BUSY_PERCENT:
        _progress("this machine is busy with other things: only the CPU time can be trusted")
    try:
        with _opened(size, config, max(counts), random_weights=random_weights) as (backend, null, load_s):
            measured = list(_measure(backend, null, counts, frames))
            about = _about(backend, here, size if random_weights else None, load_s)
    except (EngineError, NotSaid, Refused) as error:
        print(f"tts-ops bench engine: {error}", file=sys.stderr)
        return 1
    _write(about, measured)
    if json_path is not None:
        report = about | {"batches": [batch.as_dict() for batch in measured]}
        json_path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


@contextmanager
def _opened(
    size: Size, config: EngineConfig, rows: int, *, random_weights: bool
) -> Iterator[tuple[Backend, NullRunner | None, float]]:
    started = time.monotonic()
    if random_weights:
        _progress(f"making a model of {size} size with random weights")
        model = open_random(size, config, rows)
        backend, null = cast(Backend, model.backend), model.null
    else:
        backend, null = open_backend(replace(config, max_batch_size=rows)), None
    try:
        yield backend, null, time.monotonic() - started
    finally:
        backend.close()


def _measure(backend: Backend, null: NullRunner | None, counts: Sequence[int], frames: int) -> Iterator[Batch]:
    _progress("warming up")
    say_together(backend, 1, WARM_UP_FRAMES)
    for count in counts:
        _wait_until_free(backend)
        _progress(f"{count} at once, {frames} frames each")
        cpu_s = time.process_time()
        timings = say_together(backend, count, frames)
        cpu_s = time.process_time() - cpu_s
        yield Batch(
            count,
            tuple(timings),
            cpu_s,
            null.cpu_s_per_step(count) if null else (),
            psutil.Process().memory_info().rss,
            _device_bytes(),
        )


def _wait_until_free(backend: Backend) -> None:
    """Cancelled utterances have their slots until the step that runs is over."""
    deadline = time.monotonic() + 60.0
    while backend.statistics().active:
        if time.monotonic() > deadline:
            raise NotSaid("cancelled utterances kept their slots for a minute")
        time.sleep(0.01)


def _device_bytes() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return int(torch.cuda.max_memory_allocated())


def _about(backend: Backend, here: machine.Machine, size: str | None, load_s: float) -> dict[str, Any]:
    statistics = backend.statistics()
    torch = sys.modules.get("torch")
    return {
        "version": __version__,
        "date": time.strftime("%Y-%m-%d"),
        "machine": asdict(here),
        "backend": statistics.backend,
        "random_weights": size,
        "device": statistics.device,
        "dtype": statistics.dtype,
        "threads": torch.get_num_threads() if torch else None,
        "load_s": load_s,
    }


def _write(about: dict[str, Any], measured: Sequence[Batch]) -> None:
    weights = f", random weights of {about['random_weights']} size" if about["random_weights"] else ""
    here = about["machine"]
    print(f"\n{about['backend']} on {about['device']}, {about['dtype']}{weights}, ready after {about['load_s']:.1f} s")
    print(f"tts-ops {about['version']}, {about['date']}; {here['cores']} cores {here['cpu']}, ", end="")
    print(f"{here['memory_gib']} GiB, {here['busy_percent']:.0f} % busy before\n")
    print("| batch | TTFA p50 | p95 | frame p50 | p95 | RTF | late frames | CPU per frame | memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    for batch in measured:
        print(_row(batch))
    for batch in measured:
        if batch.step_cpu_s:
            p50, p95 = (_ms(percentile(batch.step_cpu_s, percent)) for percent in (50, 95))
            print(f"\n{batch.utterances} utterances without a model: a step takes {p50} CPU (p95 {p95})")


def _row(batch: Batch) -> str:
    cells = [
        f"{batch.utterances}",
        *(_ms(percentile(batch.ttfa_s, percent)) for percent in (50, 95)),
        *(_ms(percentile(batch.frame_s, percent)) for percent in (50, 95)),
        f"{batch.rtf:.2f}",
        f"{batch.late} of {batch.frames}",
        f"{batch.cpu_ms:.3g} ms",
        f"{batch.memory_bytes / machine.GIB:.2f} GiB"
        + (f" + {batch.device_bytes / machine.GIB:.2f} on the device" if batch.device_bytes is not None else ""),
    ]
    return f"| {' | '.join(cells)} |"


def _p50_p95(samples: Sequence[float]) -> dict[str, float] | None:
    return {"p50": percentile(samples, 50), "p95": percentile(samples, 95)} if samples else None


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def _counts(batches: str) -> list[int]:
    try:
        counts = [int(part) for part in batches.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(1 <= count <= MAX_BATCH for count in counts):
        raise SettingsError(f"--batch is {batches!r:.40}; allowed: numbers from 1 to {MAX_BATCH}, as 1,4,16")
    return counts


def _progress(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)
