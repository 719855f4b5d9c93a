"""`tts-ops bench engine`: how long a voice takes, alone and with others, without a network between.

Measures the configured back-end, or VibeVoice's arithmetic with random weights, in this process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, cast

import psutil

from tts_plugin import __version__, hub
from tts_plugin.engine.backend import Backend, Refused
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError, open_backend
from worker.bench import machine, plot, roofline
from worker.bench.engine_report import Batch, Rate, write
from worker.bench.null_runner import NullRunner
from worker.bench.open_loop import offer
from worker.bench.random_model import Size, open_random
from worker.bench.together import NotSaid, say_together
from worker.settings import Settings, SettingsError

MAX_BATCH, MAX_FRAMES = 1024, 200  # so many frames need no credit
MAX_RATE = 1000.0
WARM_UP_FRAMES = 3
BUSY_PERCENT = 20.0
SIZES: tuple[Size, ...] = ("real", "small", "null")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure. `rates`: requests a second, each for `duration_s` with `seeds` seeds."""

    random_weights: bool = False
    size: str = "real"
    device: str | None = None
    dtype: str | None = None
    batches: str = "1,4"
    frames: int = 20
    rates: str = ""
    duration_s: float = 30.0
    seeds: int = 3
    preset: str | None = None


PRESETS = {
    "laptop": {"batches": "1,2,4", "rates": "0.1,0.2", "duration_s": 60.0, "seeds": 1},
    "gpu": {"batches": "1,4,16,64,128,256,512", "frames": 30, "rates": "1,10,20,50", "duration_s": 15.0, "seeds": 3},
}


def run(settings: Settings, wanted: Wanted, *, json_path: Path | None = None, plot_path: Path | None = None) -> int:
    """Measure and print. 0: done; 1: the engine did not start, or did not speak."""
    wanted = _with_preset(wanted)
    counts, rates = _counts(wanted.batches), _rates(wanted.rates)
    if wanted.size not in SIZES:
        raise SettingsError(f"--size is {wanted.size!r}; allowed: {', '.join(SIZES)}")
    if plot_path is not None:
        plot.check()
    engine = settings.engine
    config = replace(engine, device=wanted.device or engine.device, dtype=wanted.dtype or engine.dtype)
    here = machine.describe()
    if here.busy_percent > BUSY_PERCENT:
        _progress("this machine is busy with other things: only the CPU time can be trusted")
    try:
        rows = max([*counts, *(_in_flight(rate) for rate in rates)])
        with _opened(wanted, config, rows) as (backend, null, load_s):
            about = _about(backend, here, wanted.size if wanted.random_weights else None, load_s)
            measured = list(_measure(backend, null, counts, wanted.frames, _roof(backend, config, wanted)))
            offered = [_offer(backend, rate, wanted) for rate in rates]
    except (EngineError, NotSaid, Refused) as error:
        print(f"tts-ops bench engine: {error}", file=sys.stderr)
        return 1
    write(about, measured, offered)
    report = about | {"batches": [b.as_dict() for b in measured], "rates": [r.as_dict() for r in offered]}
    if json_path is not None:
        json_path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if plot_path is not None:
        plot.draw(report, plot_path)
    return 0


def _with_preset(wanted: Wanted) -> Wanted:
    if wanted.preset is None:
        return wanted
    if wanted.preset not in PRESETS:
        raise SettingsError(f"--preset is {wanted.preset!r:.40}; allowed: {', '.join(PRESETS)}")
    return replace(wanted, **PRESETS[wanted.preset])  # type: ignore[arg-type]


def _offer(backend: Backend, rate: float, wanted: Wanted) -> Rate:
    loads = []
    for seed in range(1, wanted.seeds + 1):
        _wait_until_free(backend)
        _progress(f"{rate:g} requests a second for {wanted.duration_s:g} s, seed {seed} of {wanted.seeds}")
        loads.append(
            offer(backend, rate, wanted.duration_s, seed, ends_itself=not wanted.random_weights, progress=_progress)
        )
    return Rate(tuple(loads))


def _in_flight(rate: float) -> int:
    """Room for the requests that speak at once, were each to take as long as it is heard, and for a rush."""
    return min(MAX_BATCH, max(8, ceil(rate * 12)))


def _roof(backend: Backend, config: EngineConfig, wanted: Wanted) -> Callable[[int], float | None]:
    """The shortest time of a step by the number of utterances; None where no network is known."""
    statistics = backend.statistics()
    if statistics.backend != "vibevoice" or wanted.size == "null":
        return lambda _: None
    from tts_plugin.engine.model.config import read_config
    from tts_plugin.engine.model.shapes import REALTIME_05B, SMALL

    _progress("measuring what the device can do at most")
    files = None if wanted.random_weights else hub.locate(config.model_name, config.model_path)
    model = read_config(files.config) if files else REALTIME_05B if wanted.size == "real" else SMALL
    number = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1.0, "int4": 0.5}.get(statistics.dtype, 4.0)
    kind = statistics.dtype if number > 1 else "float32"
    on_cpu = statistics.device == "cpu"
    ceiling = roofline.measure_cpu() if on_cpu else roofline.measure_torch(statistics.device, kind)

    def seconds(batch: int) -> float:
        amount = roofline.work(
            model, batch, solver_steps=config.solver_steps, weight_bytes=number, state_bytes=max(2.0, number)
        )
        return ceiling.seconds(amount)

    return seconds


@contextmanager
def _opened(wanted: Wanted, config: EngineConfig, rows: int) -> Iterator[tuple[Backend, NullRunner | None, float]]:
    started = time.monotonic()
    if wanted.random_weights:
        _progress(f"making a model of {wanted.size} size with random weights")
        model = open_random(cast(Size, wanted.size), config, rows)
        backend, null = cast(Backend, model.backend), model.null
    else:
        backend, null = open_backend(replace(config, max_batch_size=rows)), None
    try:
        yield backend, null, time.monotonic() - started
    finally:
        backend.close()


def _measure(
    backend: Backend,
    null: NullRunner | None,
    counts: Sequence[int],
    frames: int,
    roof: Callable[[int], float | None],
) -> Iterator[Batch]:
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
            roof(count),
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


def _counts(batches: str) -> list[int]:
    try:
        counts = [int(part) for part in batches.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(1 <= count <= MAX_BATCH for count in counts):
        raise SettingsError(f"--batch is {batches!r:.40}; allowed: numbers from 1 to {MAX_BATCH}, as 1,4,16")
    return counts


def _rates(rates: str) -> list[float]:
    try:
        found = [float(part) for part in rates.split(",")] if rates else []
    except ValueError:
        found = [0.0]
    if not all(0 < rate <= MAX_RATE for rate in found):
        raise SettingsError(f"--rate is {rates!r:.40}; allowed: requests a second up to {MAX_RATE:g}, as 1,10,20")
    return found


def _progress(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)
