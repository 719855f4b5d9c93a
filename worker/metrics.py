"""The worker's metrics, all of them, in one registry of the main process. Jobs report over the fleet channel.

Label values come from the lists here and nowhere else: what a job sends is text that a caller may have had a hand in.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tts_plugin.loop_state import tasks_now
from worker.admission import Admission
from worker.phone.metrics import PhoneMetrics
from worker.turns import Stamp

OTHER = "other"
STAGES = frozenset(get_args(Stamp))
DEADLINES = frozenset({"llm_first", "llm_stall", "tool", "stt_final", "close", "turn"})
SWAPS = frozenset({"unreachable", "stalled", "refused", "failed"})
SOURCES = frozenset(
    {
        "worker",
        "tts_plugin",
        "livekit.agents",
        "livekit.plugins.openai",
        "livekit.plugins.anthropic",
        "livekit.plugins.deepgram",
    }
)
DEPENDENCIES = frozenset({"anthropic", "openai", "local", "embedded", "deepgram", "llm", "stt", "tts", "engine"})
BREAKER_STATES = {"closed": 0.0, "half_open": 1.0, "half-open": 1.0, "open": 2.0}
_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_DEAD_AIR_SECONDS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0)
_LAG_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

log = logging.getLogger(__name__)
Values = dict[str, Any]


class Breakers(Collector):
    """`voice_breaker_state`: each job has its own breakers, so of each dependency the worst state counts."""

    def __init__(self) -> None:
        self._states: dict[str, dict[str, float]] = defaultdict(dict)  # job id -> dependency -> state

    def note(self, job_id: str, dependency: str, state: float) -> None:
        self._states[job_id][dependency] = state

    def forget(self, job_id: str) -> None:
        self._states.pop(job_id, None)

    def collect(self) -> Iterable[Metric]:
        worst: dict[str, float] = {}
        for states in list(self._states.values()):
            for dependency, state in list(states.items()):
                worst[dependency] = max(state, worst.get(dependency, 0.0))
        gauge = GaugeMetricFamily(
            "voice_breaker_state",
            "Circuit breaker of each dependency, the worst among the calls: 0 closed, 1 half-open, 2 open.",
            labels=["dependency"],
        )
        for dependency, state in sorted(worst.items()):
            gauge.add_metric([dependency], state)
        yield gauge


class WorkerMetrics:
    def __init__(self, admission: Admission, *, drain_s: Callable[[], float] = lambda: 0.0) -> None:
        self.registry = CollectorRegistry()
        self._breakers = Breakers()
        self.registry.register(self._breakers)
        self._gauge("voice_calls_active", "Calls under way.", lambda: admission.active)
        self._gauge("voice_calls_capacity", "Calls that this worker takes at once.", lambda: admission.capacity)
        self._gauge("voice_calls_reserved", "Places held for callers on their way.", lambda: len(admission.reserved))
        self._gauge("voice_calls_free", "Calls that can begin now.", lambda: max(0, admission.free))
        self._gauge("voice_draining", "1 while the worker takes no new calls.", lambda: int(admission.draining))
        self._gauge("voice_tasks", "Tasks of the main process's event loop.", tasks_now)
        self._gauge("voice_drain_seconds", "Seconds since the worker was told to stop; 0 before.", drain_s)
        self.refused = self._counter("voice_calls_refused", "Calls refused, by door and reason.", "door", "reason")
        self.cut = self._counter("voice_calls_cut", "Calls told goodbye for want of a worker to go on with.")
        self._gone = self._counter("voice_jobs_ended", "Jobs that ended, whatever the reason.")
        self._killed = self._counter("voice_jobs_killed", "Jobs killed because they were frozen.")
        self._bad = self._counter("voice_bad_events", "Events of jobs that could not be counted.")
        self._turns = self._counter("voice_turns", "Answers of the agent.", "interrupted")
        self._errors = self._counter("voice_errors", "Errors within calls.", "source")
        self._fillers = self._counter("voice_fillers", "Times that the agent said it was still there.")
        self._apologies = self._counter("voice_apologies", "Turns ended by an apology.")
        self._swaps = self._counter("voice_speech_swaps", "Utterances that another engine finished.", "reason")
        self._deadlines = self._counter("voice_turn_deadline_exceeded", "Deadlines missed within turns.", "stage")
        self._stages = self._histogram(
            "voice_turn_seconds", "Seconds from the user's last sound to each stage of the turn.", _SECONDS, "stage"
        )
        self._dead_air = self._histogram(
            "voice_dead_air_seconds", "Longest silence of the agent within each of its turns.", _DEAD_AIR_SECONDS
        )
        self._lag = self._histogram(
            "voice_loop_lag_seconds", "Longest delay of an event loop in each 5 s.", _LAG_SECONDS, "process"
        )

        self._phone = PhoneMetrics(self.registry)

    def note(self, event: str, values: Values, job_id: str) -> None:
        """An event that a job sent over the fleet channel. Never raises: a bad one must not cost the call its link."""
        try:
            self._note(event, values, job_id)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._bad.inc()
            log.warning("an event of job %s cannot be counted: %s", job_id, type(error).__name__)

    def loop_lag(self, longest_s: float) -> None:
        """Of this process's own loop."""
        self._lag.labels("worker").observe(longest_s)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _note(self, event: str, values: Values, job_id: str) -> None:
        match event:
            case "job_gone":
                self._gone.inc()
                self._breakers.forget(job_id)
            case "job_killed":
                self._killed.inc()
                self._breakers.forget(job_id)
            case "turn":
                self._note_turn(values)
            case "error":
                self._errors.labels(_listed(_module(values.get("source")), SOURCES)).inc()
            case "breaker":
                state = values["state"]
                named = [part for part in str(values["dependency"]).split(":") if part in DEPENDENCIES]
                dependency = named[-1] if named else OTHER  # "llm:openai": the provider
                self._breakers.note(
                    job_id, dependency, BREAKER_STATES[state] if isinstance(state, str) else min(2.0, _number(state))
                )
            case "dead_air":
                self._dead_air.observe(_number(values["seconds"]))
            case "deadline":
                self._deadlines.labels(_listed(values["stage"], DEADLINES)).inc()
            case "filler":
                self._fillers.inc()
            case "apology":
                self._apologies.inc()
            case "swap":
                self._swaps.labels(_listed(values.get("reason"), SWAPS)).inc()
            case "call_began":
                self._phone.began(values)
            case "call_ended":
                self._phone.ended(values)
            case "loop_lag":
                self._lag.labels("job").observe(_number(values["max_s"]))
            case _:
                raise ValueError(event)

    def _note_turn(self, values: Values) -> None:
        self._turns.labels("true" if values.get("interrupted") else "false").inc()
        for stage in STAGES & values.keys():
            self._stages.labels(stage).observe(_number(values[stage]))

    def _gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        Gauge(name, meaning, registry=self.registry).set_function(read)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)


def _listed(value: object, allowed: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in allowed else OTHER


def _module(source: object) -> object:
    """The listed module that it is, or is in."""
    inside = [s for s in SOURCES if isinstance(source, str) and f"{source}.".startswith(f"{s}.")]
    return max(inside, key=len, default=source)


def _number(value: object) -> float:
    """A duration or a state: a finite number, not below zero (clocks of two processes differ by a hair)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("not a number")
    return max(0.0, float(value))
