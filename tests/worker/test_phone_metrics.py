"""Telephone calls as the worker counts them, from what its jobs note."""

from __future__ import annotations

import pytest

from worker.admission import Admission
from worker.metrics import WorkerMetrics


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics(Admission(lambda: ()))


def rendered(metrics: WorkerMetrics) -> str:
    return metrics.render().decode()


def test_a_telephone_call_is_counted_with_its_ring(metrics: WorkerMetrics) -> None:
    metrics.note("call_began", {"direction": "inbound", "ring_s": 0.9}, "J1")
    metrics.note("call_ended", {"direction": "inbound", "outcome": "agent_hung_up"}, "J1")
    text = rendered(metrics)
    assert 'voice_phone_calls_total{direction="inbound",outcome="agent_hung_up"} 1.0' in text
    assert 'voice_calls_ended_total{direction="inbound",outcome="agent_hung_up"} 1.0' in text
    assert 'voice_phone_ring_seconds_bucket{direction="inbound",le="1.0"} 1.0' in text


def test_a_call_of_ours_tells_when_it_rang(metrics: WorkerMetrics) -> None:
    metrics.note("call_began", {"direction": "outbound", "ring_s": 4.0, "post_dial_s": 0.6}, "J1")
    assert "voice_phone_post_dial_seconds_count 1.0" in rendered(metrics)


def test_a_call_from_a_browser_is_no_telephone_call(metrics: WorkerMetrics) -> None:
    metrics.note("call_began", {"direction": "web"}, "J1")
    metrics.note("call_ended", {"direction": "web", "outcome": "caller_left"}, "J1")
    text = rendered(metrics)
    assert 'voice_calls_ended_total{direction="web",outcome="caller_left"} 1.0' in text
    assert "voice_phone_calls_total{" not in text
    assert "voice_phone_ring_seconds_count{" not in text


@pytest.mark.parametrize(
    ("event", "values"),
    [
        ("call_began", {"direction": "+15550100"}),
        ("call_ended", {"direction": "inbound", "outcome": "+15550100"}),
        ("call_ended", {}),
        ("call_began", {"direction": "inbound", "ring_s": "long"}),
    ],
)
def test_what_is_no_label_of_ours_becomes_none(metrics: WorkerMetrics, event: str, values: dict[str, object]) -> None:
    metrics.note(event, values, "J1")
    text = rendered(metrics)
    assert "15550100" not in text
    assert "voice_bad_events_total 1.0" in text
