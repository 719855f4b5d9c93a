"""The converted model on disk: made once, whole or not at all, known by its weights; opened without torch."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from golden_cases import find_cases

from tts_plugin import hub
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.model.config import WrongCheckpoint
from tts_plugin.engine.model.schedule import make_schedule
from tts_plugin.engine.onnx.converted import Part, convert, find, identity
from tts_plugin.engine.onnx.network import OnnxNetwork, Source, open_network
from tts_plugin.engine.onnx.problem import CannotKeep
from tts_plugin.engine.open_onnx import open_files
from tts_plugin.weights import read_header

SCHEDULE = make_schedule("dpmsolver++", 5)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    case = find_cases("float32")[-1]
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(case.path.parent / case.inputs["config"], folder / "config.json")
    shutil.copy(case.path.parent / case.inputs["weights"], folder / "model.safetensors")
    return Source(folder / "config.json", folder / "model.safetensors", (tmp_path / "converted",))


def opened(source: Source, precision: str = "int8") -> tuple[OnnxNetwork, list[str]]:
    """And which parts were converted for it."""
    parts: list[str] = []
    network = open_network(source, SCHEDULE, precision, 1, lambda name, done, total: parts.append(name))  # type: ignore[arg-type]
    return network, parts


def test_the_second_opening_converts_nothing(source: Source) -> None:
    assert opened(source)[1] == ["base", "tts", "decoder", "times", "modulation", "velocity"]
    assert opened(source)[1] == []


def test_another_precision_is_kept_beside_the_first(source: Source) -> None:
    opened(source, "int8")
    assert opened(source, "int4")[1]
    assert not opened(source, "int8")[1]
    assert len(list(source.roots[0].iterdir())) == 2


def test_other_weights_are_converted_anew_even_if_one_number_differs(source: Source) -> None:
    opened(source)
    entry = read_header(source.weights)["tts_eos_classifier.fc2.bias"]
    data = bytearray(source.weights.read_bytes())
    data[entry.begin] ^= 1
    source.weights.write_bytes(data)
    assert opened(source)[1]


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        convert(tmp_path, "key", (Part("good", lambda builder: None), Part("bad", fail)))
    assert find((tmp_path,), "key") is None
    assert list(tmp_path.iterdir()) == []


def test_whoever_is_second_takes_what_the_first_made(tmp_path: Path) -> None:
    def meanwhile(_: object) -> None:
        (tmp_path / "key").mkdir()
        (tmp_path / "key" / "first").touch()

    assert convert(tmp_path, "key", (Part("part", meanwhile),)) == tmp_path / "key"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key" / "first").exists()


def test_a_place_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotKeep, match=r"cannot be written to .*file.*HF_HOME"):
        convert(tmp_path / "file", "key", ())


def test_identity_does_not_depend_on_where_the_files_are(source: Source, tmp_path: Path) -> None:
    entries = read_header(source.weights)
    other = tmp_path / "elsewhere.safetensors"
    shutil.copy(source.weights, other)
    assert identity(source.config, other, entries) == identity(source.config, source.weights, entries)


def test_a_broken_checkpoint_is_refused_before_anything_is_converted(source: Source) -> None:
    source.weights.write_bytes(source.weights.read_bytes()[:-1])
    with pytest.raises(WrongCheckpoint):
        opened(source)
    assert not source.roots[0].exists()


def test_a_folder_with_a_place_for_it_keeps_its_own(source: Source) -> None:
    folder = source.weights.parent
    (folder / "onnx").mkdir()
    files = hub.ModelFiles(source.config, source.weights, None, folder / "voices")
    open_files(EngineConfig(), files, "int8")
    assert len(list((folder / "onnx").iterdir())) == 1


_WITHOUT_TORCH = """
import importlib.util, json, sys
from pathlib import Path

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"no {name} here")
        return None

real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else real(name, *rest)
sys.meta_path.insert(0, NoTorch())
from tts_plugin.engine.config import EngineConfig
from tts_plugin.engine.create import open_backend
import threading
from tts_plugin.protocol import Audio, Done, Failed, Say

backend = open_backend(EngineConfig(backend="vibevoice", model_path=Path(sys.argv[1]), max_batch_size=1))
over, samples = threading.Event(), []
def emit(event):
    if isinstance(event, Audio):
        samples.append(len(event.pcm) // 2)
    if isinstance(event, Done | Failed):
        over.set()
utterance = backend.admit(Say("u", pace="fast", seed=1), emit)
utterance.feed("The capital of France is Paris.")
utterance.end()
assert over.wait(30)
now = backend.statistics()
backend.close()
print(json.dumps({"dtype": now.dtype, "samples": sum(samples), "torch": "torch" in sys.modules}))
"""


def test_vibevoice_speaks_where_torch_is_not_installed(model_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, str(model_folder)], capture_output=True, text=True, timeout=55
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["samples"] > 3_200
    assert (told["dtype"], told["torch"]) == ("int8", False)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="the small model is written with torch")
    from small_model import write_model

    return write_model(tmp_path_factory.mktemp("vibevoice"))


def test_an_int8_backend_says_so_at_its_start(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tts_plugin.engine.create import open_backend

    config = EngineConfig(backend="vibevoice", model_path=model_folder, device="cpu", max_batch_size=1)
    with caplog.at_level(logging.INFO, logger="tts_plugin"):
        open_backend(replace(config, dtype="int8")).close()
    assert "int8 (configured int8)" in caplog.text


def test_auto_keeps_the_embedded_voice_where_nothing_can_be_kept(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tts_plugin.engine import open_onnx
    from tts_plugin.engine.create import EngineError, open_backend

    (tmp_path / "file").touch()
    monkeypatch.setattr(open_onnx, "_roots", lambda files: (tmp_path / "file",))
    config = EngineConfig(backend="auto", model_path=model_folder, device="cpu")
    backend = open_backend(config)
    backend.close()
    assert backend.name == "embedded"
    assert "the converted model cannot be written to" in caplog.text
    with pytest.raises(EngineError, match="cannot be written"):
        open_backend(replace(config, backend="vibevoice"))
