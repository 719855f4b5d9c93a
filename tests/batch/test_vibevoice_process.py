"""The engine's process with VibeVoice in it: how it starts, what it says, how it ends."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

from engine_events import Events

from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import EngineError, open_backend
from tts_plugin.engine.embedded import EmbeddedBackend
from tts_plugin.protocol import Say

_LOST = """
import socket, sys, threading, time, urllib.request
from pathlib import Path
import torch
torch.set_num_threads(1)  # two threads that wait for each other on a busy machine take a minute to load
from tts_plugin import server
from tts_plugin.engine import create
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.runner import DeviceLost
from tts_plugin.protocol import Say

def lost(rows):
    raise DeviceLost("CUDA error: unspecified launch failure")

def open_backend(config):
    backend = create.open_backend(config)
    backend._runner.step = lost
    def speak():
        backend.admit(Say("u"), print).feed("One two three four five six seven. ")
    threading.Timer(0.5, speak).start()
    return backend

server.open_backend = open_backend
server.run(EngineConfig(backend="vibevoice", model_path=Path(sys.argv[1]), device="cpu", max_batch_size=2),
           "127.0.0.1", int(sys.argv[2]))
"""


def test_a_lost_device_ends_the_process_with_an_error(model_folder: Path, unused_port: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _LOST, str(model_folder), str(unused_port)], capture_output=True, text=True, timeout=50
    )
    assert ended.returncode != 0
    assert "retryable=True" in ended.stdout
    assert "EngineError: the engine ended: the device is lost: CUDA error" in ended.stderr


def test_the_start_says_device_number_format_and_capacity(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="tts_plugin"):
        open_backend(config(model_folder)).close()
    (line,) = [record.getMessage() for record in caplog.records if "VibeVoice speaks" in record.getMessage()]
    for part in ("device cpu (configured auto)", "int8 (configured auto)", "3 voices", "2 slots", "KV pages"):
        assert part in line


def test_auto_takes_vibevoice_where_its_files_are_and_it_is_fast_enough(model_folder: Path) -> None:
    backend = open_backend(config(model_folder, backend="auto"))
    backend.close()
    assert backend.name == "vibevoice"


def test_auto_keeps_the_embedded_voice_where_vibevoice_is_too_slow(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tts_plugin.engine.capacity.HEADROOM", 1e9)
    with caplog.at_level(logging.INFO, logger="tts_plugin"):
        backend = open_backend(config(model_folder, backend="auto"))
    backend.close()
    assert isinstance(backend, EmbeddedBackend)
    assert "VibeVoice does not run in real time here: 133 ms of speech take" in caplog.text


def test_auto_without_the_files_is_the_embedded_voice() -> None:
    backend = open_backend(EngineConfig(model_name="nobody/nothing"))
    backend.close()
    assert isinstance(backend, EmbeddedBackend)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cuda:7"}, "TTS_DEVICE is 'cuda:7'"),
        ({"dtype": "int3"}, "TTS_DTYPE is 'int3'"),
        ({"default_voice": "bob"}, "TTS_VOICE: voice is 'bob'; allowed: .*en-emma_woman"),
    ],
)
def test_a_setting_that_cannot_be_met_stops_the_start_by_name(model_folder: Path, options: dict, said: str) -> None:
    import torch

    if options.get("device") == "cuda:7" and torch.cuda.device_count() > 7:
        pytest.skip("this machine has a cuda:7")
    with pytest.raises(EngineError, match=said):
        open_backend(config(model_folder, **options))


def test_a_folder_without_voices_names_the_command_that_fetches_them(model_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(model_folder / name)
    with pytest.raises(EngineError, match="there is no voice in .*tts-ops pull"):
        open_backend(config(tmp_path))


def test_a_voice_that_is_not_what_its_manifest_says_is_refused(model_folder: Path, tmp_path: Path) -> None:
    for path in model_folder.glob("*.*"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "voices").mkdir()
    manifest = json.loads((model_folder / "voices" / "en-mike_man.json").read_text())
    (tmp_path / "voices" / "en-mike_man.json").write_text(json.dumps({**manifest, "sha256": "0" * 64}))
    (tmp_path / "voices" / "en-mike_man.safetensors").symlink_to(model_folder / "voices" / "en-mike_man.safetensors")
    with pytest.raises(EngineError, match="its manifest says 0000"):
        open_backend(config(tmp_path))


def test_without_a_batch_size_calibration_finds_one(model_folder: Path) -> None:
    backend = open_backend(config(model_folder, max_batch_size=None))
    try:
        assert 1 <= backend.statistics().slots <= 8
        assert (backend.statistics().headroom or 0) > 0
        events = Events()
        utterance = backend.admit(Say("u", pace="fast"), events)
        utterance.feed("Hello there.")
        utterance.end()
        events.wait_done()
    finally:
        backend.close()


def test_the_metrics_tell_of_pages_and_of_slots_that_came_back(model_folder: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    from tts_plugin.metrics import EngineMetrics

    backend = open_backend(config(model_folder))
    try:
        text = EngineMetrics(backend).text().decode()
    finally:
        backend.close()
    values = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    assert values["tts_kv_pages"] > values["tts_kv_pages_free"] > 0
    assert "tts_real_time_headroom" not in values  # a number of slots was named: nothing is calibrated
    for name in (
        "tts_starved_total",
        "tts_runaway_total",
        "tts_gone_silent_total",
        "tts_loop_total",
        "tts_short_retry_total",
        "tts_slot_release_seconds_total",
        "tts_cancel_to_free_seconds_count",
    ):
        assert values[name] == 0


def test_the_engine_above_the_runner_needs_neither_torch_nor_livekit() -> None:
    code = (
        "import sys; import tts_plugin.engine.engine, tts_plugin.engine.vibevoice, tts_plugin.engine.create;"
        "import tts_plugin.engine.device; print([n for n in ('torch', 'livekit', 'fastapi') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def config(folder: Path, **options: object) -> EngineConfig:
    return EngineConfig(**{"backend": "vibevoice", "model_path": folder, "max_batch_size": 2, **options})


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
