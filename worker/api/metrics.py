"""The HTTP service's metrics, all of them, in one registry, and the ASGI middleware that measures requests."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tts_plugin.loop_state import tasks_now

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 120.0)
LAG_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_CLIENT_GONE = "499"


class HttpMetrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "voice_http_requests", "Requests answered.", ["route", "status"], registry=self.registry
        )
        self.active = Gauge("voice_http_requests_active", "Requests under way.", registry=self.registry)
        self.duration = Histogram(
            "voice_http_request_seconds",
            "Seconds from the request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_byte = Histogram(
            "voice_http_first_byte_seconds",
            "Seconds from the request to the first byte of its answer's body.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.join_tokens = Counter(
            "voice_join_tokens", "Requests for a join token, by what they got.", ["result"], registry=self.registry
        )
        self.loop_lag = Histogram(
            "voice_loop_lag_seconds",
            "Longest delay of an event loop in each 5 s.",
            ["process"],
            buckets=LAG_SECONDS,
            registry=self.registry,
        ).labels("serve")
        self.streams = Gauge("voice_http_streams", "Sockets of /stream that are open.", registry=self.registry)
        self.stream_utterances = Counter(
            "voice_http_stream_utterances",
            "Utterances of /stream, by how they ended: done, cancelled, or the code of the failure.",
            ["result"],
            registry=self.registry,
        )
        Gauge("voice_tasks", "Tasks of the event loop.", registry=self.registry).set_function(tasks_now)
        self._add_watcher()

    def _add_watcher(self) -> None:
        """Label values are of fixed lists: handover.Reason, actions.FailCode, webhooks.Result."""

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=self.registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=self.registry)

        self.redispatches = counter("voice_redispatches", "Agents sent for by the watcher, by why.", "cause")
        self.ghosts = counter("voice_ghosts_removed", "Dead agents removed from rooms.")
        self.duplicates = counter("voice_duplicate_agents_removed", "Agents that had to leave a room to another agent.")
        self.failed_calls = counter("voice_calls_failed", "Calls ended because no agent could be had.", "code")
        self.webhooks = counter("voice_webhooks", "LiveKit's webhooks, by what became of them.", "result")
        self.agentless_rooms = gauge("voice_agentless_rooms", "Rooms with a caller and no agent.")
        self.watcher_lag = gauge("voice_watcher_lag_seconds", "How late the watcher's last round began.")
        self.watcher_acts = gauge("voice_watcher_acts", "1: this watcher acts; 0: another one does.")

    def render(self) -> bytes:
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware, outermost. A route's label is its pattern, never the path that was asked for."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        first_byte_s: float | None = None
        status = _CLIENT_GONE

        async def watched(message: Message) -> None:
            nonlocal first_byte_s, status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            elif first_byte_s is None and message.get("body"):
                first_byte_s = time.perf_counter() - started_s
            await send(message)

        self._metrics.active.inc()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.active.dec()
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.duration.labels(route).observe(time.perf_counter() - started_s)
            if first_byte_s is not None:
                self._metrics.first_byte.labels(route).observe(first_byte_s)
