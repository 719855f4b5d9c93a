"""docs/metrics.md is what the registries hold, and the names that operators were promised are among them."""

from __future__ import annotations

import re
from pathlib import Path

from worker import metrics_page

PROMISED = {
    "tts_request_duration_seconds",
    "tts_time_to_first_audio_seconds",
    "tts_requests_total",
    "tts_gpu_utilization_percent",
    "tts_model_load_time_seconds",
}


def test_the_page_is_what_the_registries_hold(root: Path) -> None:
    assert (root / "docs" / "metrics.md").read_text() == metrics_page.page(), "run `python -m worker.metrics_page`"


def test_the_promised_names_are_there() -> None:
    assert set(re.findall(r"(?m)^\| `(\w+)`", metrics_page.page())) >= PROMISED


def test_every_metric_has_a_meaning_and_a_prefix_of_ours() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", metrics_page.page())
    assert len(rows) > 60
    for name, kind, _, meaning in rows:
        assert re.match(r"(tts|voice|stt|llm)_", name), name
        assert kind in ("counter", "gauge", "histogram"), name
        assert meaning.strip().endswith("."), name
