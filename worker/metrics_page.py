"""docs/metrics.md, written from the registries themselves: `python -m worker.metrics_page` renews it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from tts_plugin.engine.config import EngineConfig
from tts_plugin.metrics import EngineMetrics
from worker.admission import Admission
from worker.api.metrics import HttpMetrics
from worker.embedded.metrics import ModelsCollector
from worker.metrics import WorkerMetrics

Row = tuple[str, str, tuple[str, ...], str]
PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
HEAD = """# Metrics

Every process has one registry and answers `GET /metrics` in Prometheus' text format; the jobs of a worker report to it
over the fleet channel, so a call's process that is killed leaves nothing behind. No label holds what a caller said,
typed or dialled: label values come from fixed lists. Dashboards, alerts and runbooks:
[deploy/monitoring](../deploy/monitoring).
This page is written by `python -m worker.metrics_page`.

Counters end in `_total` where they are read; histograms have `_bucket`, `_sum` and `_count`. Names that end in
`_seconds` are seconds.
"""
ENDS = {"counter": "_total"}
SOMETIMES = (  # not of the embedded voice, or not without a card
    ("tts_gpu_utilization_percent", "gauge", (), "How busy the graphics card is; only where there is one."),
    (
        "tts_real_time_headroom",
        "gauge",
        (),
        "VibeVoice's: real time over the time of a step; below 1 listeners hear gaps.",
    ),
)


def page() -> str:
    """The whole page."""
    service = "HTTP_PORT 8080, the watcher included; asks for a key from other machines"
    with engine_registry() as engine:
        parts = (
            ("Engine: ENGINE_PORT 8001, each `tts-ops engine`", table(engine, SOMETIMES)),
            ("Models: MODELS_PORT 8002: those of the engine, for the standby voice, and", table(models_registry())),
            ("Worker: METRICS_PORT 9090, jobs included", table(worker_registry())),
            (f"HTTP service: {service}", table(HttpMetrics().registry)),
        )
    return HEAD + "".join(f"\n## {title}\n\n{rows}" for title, rows in parts)


def table(registry: CollectorRegistry, sometimes: Iterable[Row] = ()) -> str:
    lines = ["| name | kind | labels | meaning |", "|---|---|---|---|"]
    for name, kind, labels, meaning in sorted((*described(registry), *sometimes)):
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}{ENDS.get(kind, '')}` | {kind} | {shown} | {meaning} |")
    return "\n".join(lines) + "\n"


def described(registry: CollectorRegistry) -> Iterable[Row]:
    """Name, kind, labels and meaning of all; those without a sample yet too."""
    labels = {
        getattr(collector, "_name", ""): tuple(getattr(collector, "_labelnames", ()))
        for collector in registry._collector_to_names
    }
    for metric in registry.collect():
        seen = {label for sample in metric.samples for label in sample.labels} - {"le"}
        yield metric.name, metric.type, labels.get(metric.name) or tuple(sorted(seen)), metric.documentation


def worker_registry() -> CollectorRegistry:
    metrics = WorkerMetrics(Admission(lambda: ()))
    metrics.note("breaker", {"dependency": "llm", "state": "closed"}, "")
    return metrics.registry


@contextmanager
def engine_registry() -> Iterator[CollectorRegistry]:
    """With an engine that speaks, so that what is read from it is there."""
    from tts_plugin.engine.create import open_backend

    with closing(open_backend(EngineConfig(backend="embedded"))) as backend:
        yield EngineMetrics(backend).registry


def models_registry() -> CollectorRegistry:
    """Only what the models' own collector adds."""
    registry = CollectorRegistry()
    registry.register(ModelsCollector(_Still(), _Still()))  # type: ignore[arg-type]
    return registry


class _Still:
    """A model that has done nothing."""

    def statistics(self) -> Any:
        return _Nothing()


class _Nothing:
    def __getattr__(self, name: str) -> int:
        return 0


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")  # noqa: T201
