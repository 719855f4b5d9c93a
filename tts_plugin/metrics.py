"""What an engine process tells Prometheus. One registry per server; the back-end's figures are read when scraped."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tts_plugin.engine.backend import Backend, Emit, Event, Refused, Utterance
from tts_plugin.engine.delays import EDGES_S
from tts_plugin.gpu import utilisation_percent
from tts_plugin.loop_state import tasks_now
from tts_plugin.protocol import Done, Failed, Say

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FIRST_AUDIO_BUCKETS_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 1.0, 2.0, 5.0)
_LAG_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_DURATION_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class EngineMetrics:
    """Counts utterances by how they ended; `status` is done, cancelled or a failure code."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.draining = False  # nothing new is said; what is being said is said to its end
        self.registry = CollectorRegistry()
        self._duration = Histogram(
            "tts_request_duration_seconds",
            "From admission to the end of an utterance.",
            buckets=_DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self._first_audio = Histogram(
            "tts_time_to_first_audio_seconds",
            "From the first text of an utterance to its first audio.",
            buckets=_FIRST_AUDIO_BUCKETS_S,
            registry=self.registry,
        )
        self._requests = Counter(
            "tts_requests", "Utterances, by how they ended.", labelnames=("status",), registry=self.registry
        )
        self._lag = Histogram(
            "tts_loop_lag_seconds",
            "Longest delay of the server's event loop in each 5 s.",
            buckets=_LAG_BUCKETS_S,
            registry=self.registry,
        )
        tasks = Gauge("tts_tasks", "Tasks of the server's event loop.", registry=self.registry)
        tasks.set_function(tasks_now)
        self.registry.register(_BackendCollector(backend))

    def admit(self, say: Say, emit: Emit) -> Utterance:
        """As Backend.admit, counted."""
        if self.draining:
            self._requests.labels("draining").inc()
            raise Refused("draining", "the engine is going away: it finishes what is being said", retryable=True)
        started = time.monotonic()

        def counted(event: Event) -> None:
            if isinstance(event, Done | Failed):
                self._count_end(event, time.monotonic() - started)
            emit(event)

        try:
            return self._backend.admit(say, counted)
        except Refused as refused:
            self._requests.labels(refused.code).inc()
            raise

    def loop_lag(self, longest_s: float) -> None:
        self._lag.observe(max(0.0, longest_s))

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _count_end(self, event: Done | Failed, seconds: float) -> None:
        self._duration.observe(seconds)
        if isinstance(event, Failed):
            self._requests.labels(event.code).inc()
            return
        self._requests.labels("cancelled" if event.cancelled else "done").inc()
        if event.stats.ttfa_s is not None:
            self._first_audio.observe(event.stats.ttfa_s)


class _BackendCollector(Collector):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> Iterable[Metric]:
        now = self._backend.statistics()
        yield GaugeMetricFamily("tts_slots", "Utterances that may be said at once.", now.slots)
        if now.headroom is not None:
            yield GaugeMetricFamily(
                "tts_real_time_headroom",
                "Real time over the time of a step; below 1 listeners hear gaps.",
                now.headroom,
            )
        yield GaugeMetricFamily("tts_active_utterances", "Utterances being said.", now.active)
        yield GaugeMetricFamily("tts_model_load_time_seconds", "What loading the voice took.", now.model_load_s)
        yield GaugeMetricFamily("tts_step_age_seconds", "Since the engine last did anything.", now.last_step_age_s)
        yield CounterMetricFamily("tts_underrun", "Times a listener ran dry.", now.underruns_total)
        yield CounterMetricFamily("tts_starved", "Times a listener ran dry for want of text.", now.starved_total)
        yield CounterMetricFamily("tts_runaway", "Utterances ended for speaking on and on.", now.runaway_total)
        yield CounterMetricFamily(
            "tts_gone_silent", "Utterances ended for silence after their text.", now.silence_total
        )
        yield CounterMetricFamily("tts_loop", "Utterances ended for saying the same again and again.", now.loop_total)
        yield CounterMetricFamily(
            "tts_short_retry", "Texts of three words or fewer that were made anew.", now.short_retries_total
        )
        yield HistogramMetricFamily(
            "tts_cancel_to_free_seconds",
            "From the cancel of an utterance to nothing being computed for it any more.",
            buckets=[*zip(map(str, (*EDGES_S, "+Inf")), now.cancel_to_free.up_to, strict=True)],
            sum_value=now.cancel_to_free.total_s,
        )
        yield GaugeMetricFamily("tts_kv_pages", "Pages of the KV cache, of 64 positions.", now.pages)
        yield GaugeMetricFamily("tts_kv_pages_free", "Pages that nobody has or was promised.", now.pages_free)
        yield CounterMetricFamily(
            "tts_slot_release_seconds", "From the ends of utterances to their slots being free.", now.release_s_total
        )
        yield CounterMetricFamily("tts_audio_seconds", "Seconds of speech sent.", now.audio_s_total)
        yield CounterMetricFamily("tts_compute_seconds", "Seconds of computing for it.", now.compute_s_total)
        busy = utilisation_percent(now.device)
        if busy is not None:
            yield GaugeMetricFamily("tts_gpu_utilization_percent", "How busy the graphics card is.", busy)
        info = GaugeMetricFamily("tts_engine_info", "Which engine speaks.", labels=("backend", "device", "dtype"))
        info.add_metric((now.backend, now.device, now.dtype), 1)
        yield info
