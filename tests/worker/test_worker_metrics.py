"""What jobs tell the worker, as Prometheus reads it."""

import math

import pytest

from worker.admission import Admission
from worker.metrics import WorkerMetrics

CALLER_WORDS = "my number is 030 1234567"


@pytest.fixture
def metrics() -> WorkerMetrics:
    admission = Admission(lambda: ["AJ_1"])
    admission.capacity = 3
    admission.reserve("room")
    return WorkerMetrics(admission, drain_s=lambda: 7.0)


def shown(metrics: WorkerMetrics) -> str:
    return metrics.render().decode()


def test_places_are_shown(metrics):
    text = shown(metrics)
    for line in (
        "voice_calls_active 1.0",
        "voice_calls_capacity 3.0",
        "voice_calls_reserved 1.0",
        "voice_calls_free 1.0",
        "voice_drain_seconds 7.0",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("event", "values", "line"),
    [
        ("job_gone", {}, "voice_jobs_ended_total 1.0"),
        ("job_killed", {}, "voice_jobs_killed_total 1.0"),
        ("turn", {"interrupted": True, "speaking": 0.8}, 'voice_turns_total{interrupted="true"} 1.0'),
        ("turn", {"interrupted": False, "speaking": 0.8}, 'voice_turn_seconds_count{stage="speaking"} 1.0'),
        ("error", {"source": "tts_plugin"}, 'voice_errors_total{source="tts_plugin"} 1.0'),
        ("dead_air", {"seconds": 2.9}, 'voice_dead_air_seconds_bucket{le="3.0"} 1.0'),
        ("dead_air", {"seconds": 3.1}, 'voice_dead_air_seconds_bucket{le="3.0"} 0.0'),
        ("deadline", {"stage": "llm_stall"}, 'voice_turn_deadline_exceeded_total{stage="llm_stall"} 1.0'),
        ("filler", {}, "voice_fillers_total 1.0"),
        ("apology", {}, "voice_apologies_total 1.0"),
        ("swap", {"reason": "stalled"}, 'voice_speech_swaps_total{reason="stalled"} 1.0'),
        ("error", {"source": "livekit.agents.inference"}, 'voice_errors_total{source="livekit.agents"} 1.0'),
        ("breaker", {"dependency": "llm:openai", "state": 1}, 'voice_breaker_state{dependency="openai"} 1.0'),
        ("breaker", {"dependency": "openai", "state": 2}, 'voice_breaker_state{dependency="openai"} 2.0'),
        ("breaker", {"dependency": "openai", "state": "half_open"}, 'voice_breaker_state{dependency="openai"} 1.0'),
        ("loop_lag", {"max_s": 0.3}, 'voice_loop_lag_seconds_bucket{le="0.5",process="job"} 1.0'),
    ],
)
def test_every_event_of_a_job_is_counted(metrics, event, values, line):
    metrics.note(event, values, "AJ_1")
    assert line in shown(metrics).splitlines()
    assert "voice_bad_events_total 0.0" in shown(metrics)


@pytest.mark.parametrize(
    ("event", "values"),
    [
        ("turn", {"interrupted": False, CALLER_WORDS: 1.0}),
        ("error", {"source": CALLER_WORDS}),
        ("deadline", {"stage": CALLER_WORDS}),
        ("swap", {"reason": CALLER_WORDS}),
        ("swap", {"reason": ["a list"]}),
        ("breaker", {"dependency": CALLER_WORDS, "state": 0}),
    ],
)
def test_a_job_s_free_text_never_becomes_a_label(metrics, event, values):
    metrics.note(event, values, "AJ_1")
    assert "1234567" not in shown(metrics)


@pytest.mark.parametrize(
    ("event", "values"),
    [
        ("never heard of", {}),
        ("dead_air", {}),
        ("dead_air", {"seconds": "long"}),
        ("dead_air", {"seconds": math.nan}),
        ("dead_air", {"seconds": True}),
        ("loop_lag", {"max_s": None}),
        ("breaker", {"dependency": "openai", "state": "ajar"}),
        ("turn", ["no", "object"]),
        ("turn", {"speaking": math.inf}),
    ],
)
def test_a_bad_event_is_counted_and_costs_nothing(metrics, event, values):
    metrics.note(event, values, "AJ_1")
    assert "voice_bad_events_total 1.0" in shown(metrics)
    assert "nan" not in shown(metrics).lower()


def test_of_many_calls_the_worst_breaker_counts_until_its_call_is_over(metrics):
    metrics.note("breaker", {"dependency": "openai", "state": 2}, "AJ_1")
    metrics.note("breaker", {"dependency": "openai", "state": 0}, "AJ_2")
    assert 'voice_breaker_state{dependency="openai"} 2.0' in shown(metrics)
    metrics.note("job_gone", {}, "AJ_1")
    assert 'voice_breaker_state{dependency="openai"} 0.0' in shown(metrics)
    metrics.note("job_gone", {}, "AJ_2")
    assert 'voice_breaker_state{dependency="openai"}' not in shown(metrics)


def test_this_process_s_own_lag_is_shown(metrics):
    metrics.loop_lag(0.004)
    assert 'voice_loop_lag_seconds_bucket{le="0.005",process="worker"} 1.0' in shown(metrics)
