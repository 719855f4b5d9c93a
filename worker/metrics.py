"""The worker's metrics, all of them, in one registry of the main process. Jobs report over the fleet channel."""

from __future__ import annotations

import logging
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from worker.admission import Admission

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)

log = logging.getLogger(__name__)


class WorkerMetrics:
    def __init__(self, admission: Admission) -> None:
        self.registry = CollectorRegistry()
        active = Gauge("voice_calls_active", "Calls under way.", registry=self.registry)
        active.set_function(lambda: admission.active)
        Gauge("voice_calls_capacity", "Calls that this worker takes at once.", registry=self.registry).set_function(
            lambda: admission.capacity
        )
        self._gone = Counter("voice_jobs_ended", "Jobs that ended, whatever the reason.", registry=self.registry)
        self.refused = Counter("voice_calls_refused", "Jobs refused for want of room.", registry=self.registry)
        self._killed = Counter("voice_jobs_killed", "Jobs killed because they were frozen.", registry=self.registry)
        self._turns = Counter("voice_turns", "Answers of the agent.", ["interrupted"], registry=self.registry)
        self._errors = Counter("voice_errors", "Errors within calls.", ["source"], registry=self.registry)
        self._stages = Histogram(
            "voice_turn_seconds",
            "Seconds from the user's last sound to each stage of the turn.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def note(self, event: str, values: dict[str, Any]) -> None:
        """An event that a job sent over the fleet channel."""
        if event == "job_gone":
            self._gone.inc()
        elif event == "job_killed":
            self._killed.inc()
        elif event == "turn":
            self._turns.labels(str(bool(values.pop("interrupted", False))).lower()).inc()
            for stage, seconds in values.items():
                self._stages.labels(stage).observe(seconds)
        elif event == "error":
            self._errors.labels(str(values.get("source", "unknown"))).inc()
        else:
            log.warning("a job sent an unknown event: %s", event)

    def render(self) -> bytes:
        return generate_latest(self.registry)
