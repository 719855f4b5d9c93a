"""Figures of the engine that need a machine we may not have, and the shape of its histogram."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from engine_events import Events, until
from prometheus_client.parser import text_string_to_metric_families

from tts_plugin import gpu
from tts_plugin.engine.delays import EDGES_S, Delays
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.metrics import EngineMetrics
from tts_plugin.protocol import Say


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    gpu._card.cache_clear()


class DriverError(Exception):
    pass


def driver(percent: int, *, card: bool = True) -> SimpleNamespace:
    """What nvidia-ml-py offers of what is used here."""

    def by_uuid(uuid: str) -> str:
        if not card:
            raise DriverError("not found")
        return uuid

    def rates(handle: str) -> SimpleNamespace:
        assert handle == "GPU-1234"
        return SimpleNamespace(gpu=percent)

    return SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetUtilizationRates=rates,
        NVMLError=DriverError,
    )


def torch_with_a_card() -> SimpleNamespace:
    return SimpleNamespace(cuda=SimpleNamespace(get_device_properties=lambda device: SimpleNamespace(uuid="1234")))


def test_the_driver_says_how_busy_the_card_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(37))
    monkeypatch.setitem(sys.modules, "torch", torch_with_a_card())
    assert gpu.utilisation_percent("cuda:0") == 37.0


def test_a_card_that_the_driver_does_not_know_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(37, card=False))
    monkeypatch.setitem(sys.modules, "torch", torch_with_a_card())
    assert gpu.utilisation_percent("cuda:0") is None


def test_without_the_drivers_library_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.utilisation_percent("cuda:0") is None


def test_on_a_cpu_there_is_no_such_metric(backend: EmbeddedBackend) -> None:
    assert "tts_gpu_utilization_percent" not in EngineMetrics(backend).text().decode()


def test_delays_are_counted_up_to_each_edge() -> None:
    delays = Delays()
    for seconds in (0.0, 0.05, 0.06, 0.3, 9.0):
        delays.add(seconds)
    up_to = dict(zip((*EDGES_S, "all"), delays.counts.up_to, strict=True))
    assert (up_to[0.001], up_to[0.05], up_to[0.1], up_to[0.3], up_to[2.0], up_to["all"]) == (1, 2, 3, 4, 4, 5)
    assert delays.counts.total_s == pytest.approx(9.41)


def test_only_cancelled_utterances_are_in_the_histogram(backend: EmbeddedBackend) -> None:
    whole, broken_off = Events(), Events()
    said = backend.admit(Say("a", pace="fast"), whole)
    said.feed("Hello.")
    said.end()
    whole.wait_done()
    cancelled = backend.admit(Say("b"), broken_off)
    cancelled.feed("Hello there, my dear old friend, how are you?")
    broken_off.wait(lambda events: events.audio)
    cancelled.cancel()
    until(lambda: backend.statistics().cancel_to_free.up_to[-1] == 1)
    families = text_string_to_metric_families(EngineMetrics(backend).text().decode())
    (family,) = [family for family in families if family.name == "tts_cancel_to_free_seconds"]
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert {"0.05", "0.1", "0.3", "+Inf"} <= set(buckets)
    assert buckets["+Inf"] == 1
