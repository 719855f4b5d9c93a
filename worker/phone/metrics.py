"""Telephone calls in numbers, in the worker's registry: by direction and outcome, how long they rang."""

from __future__ import annotations

from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from worker.call_outcome import Direction, Outcome

DIRECTIONS = frozenset(get_args(Direction))
OUTCOMES = frozenset(get_args(Outcome))
_RING_S = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)


class PhoneMetrics:
    """Takes what jobs note of calls; those of a browser are counted as calls, and not as telephone calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "voice_calls_ended", "Calls that ended, by how.", ["direction", "outcome"], registry=registry
        )
        self._calls = Counter(
            "voice_phone_calls", "Telephone calls that ended, by how.", ["direction", "outcome"], registry=registry
        )
        self._ring = Histogram(
            "voice_phone_ring_seconds",
            "Seconds from a telephone's call, or ours to it, to the answer.",
            ["direction"],
            buckets=_RING_S,
            registry=registry,
        )
        self._post_dial = Histogram(
            "voice_phone_post_dial_seconds",
            "Seconds from our call to the first ringing.",
            buckets=_RING_S,
            registry=registry,
        )

    def began(self, values: dict[str, Any]) -> None:
        """KeyError, TypeError or ValueError when it is not what a job notes."""
        direction = _one_of(values["direction"], DIRECTIONS)
        if direction == "web":
            return
        if "ring_s" in values:
            self._ring.labels(direction).observe(float(values["ring_s"]))
        if "post_dial_s" in values:
            self._post_dial.observe(float(values["post_dial_s"]))

    def ended(self, values: dict[str, Any]) -> None:
        direction, outcome = _one_of(values["direction"], DIRECTIONS), _one_of(values["outcome"], OUTCOMES)
        self._ended.labels(direction, outcome).inc()
        if direction != "web":
            self._calls.labels(direction, outcome).inc()


def _one_of(value: object, allowed: frozenset[str]) -> str:
    """A job's text becomes a label only when it is one that we know."""
    if isinstance(value, str) and value in allowed:
        return value
    raise ValueError("not a known label")
