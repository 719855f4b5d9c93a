"""What the models process tells Prometheus of its recogniser and language model; read when scraped."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.embedded.llm import LanguageModel
from worker.embedded.recogniser import Recogniser


class ModelsCollector(Collector):
    def __init__(self, recogniser: Recogniser, model: LanguageModel) -> None:
        self._recogniser = recogniser
        self._model = model

    def collect(self) -> Iterable[Metric]:
        stt, llm = self._recogniser.statistics(), self._model.statistics()
        yield CounterMetricFamily("stt_passes", "Passes of the recogniser.", stt.passes_total)
        yield CounterMetricFamily("stt_glances_dropped", "Partial passes given up.", stt.glances_dropped_total)
        yield CounterMetricFamily("stt_compute_seconds", "Seconds of recognising.", stt.compute_s_total)
        yield GaugeMetricFamily("stt_running", "Passes under way.", stt.running)
        yield CounterMetricFamily("llm_requests", "Requests taken by the language model.", llm.requests_total)
        yield CounterMetricFamily("llm_refused", "Requests refused for want of room.", llm.refused_total)
        yield CounterMetricFamily("llm_aborted", "Answers whose reader hung up.", llm.aborted_total)
        yield CounterMetricFamily("llm_tokens", "Chunks written.", llm.tokens_total)
        yield GaugeMetricFamily("llm_active", "Requests under way.", llm.active)
