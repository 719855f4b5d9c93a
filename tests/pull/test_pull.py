"""The whole pull from a real server: a model that the engine loads, voices converted, and nothing half done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from file_server import Body, FileServer
from preset_files import Preset, name, text, tuple_
from published import REAL_VOICES, Published, publish

from tts_plugin import hub, preset
from tts_plugin.published_voices import UnknownVoice, published
from tts_plugin.pull import source as sources
from tts_plugin.pull.line import Patience
from tts_plugin.pull.place import Place, cache_place, folder_place
from tts_plugin.pull.problem import PullProblem
from tts_plugin.pull.pull import Pulled, pull
from tts_plugin.pull.source import Source

Pull = Callable[..., Pulled]


@pytest.fixture
def model(server: FileServer) -> Published:
    return publish(server, {"xx-Ann_woman.pt": Preset().packed(), "xx-Bob_man.pt": Preset().packed()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "vibevoice"


@pytest.fixture
def fill(model: Published, folder: Path, progress, patience) -> Pull:
    def fill(*voices: str, source: Source = model.source, place: Place | None = None) -> Pulled:
        return pull(source, place or folder_place(folder), voices, progress, patience)

    return fill


def test_pull_brings_everything_under_the_names_the_engine_looks_for(model, fill, folder) -> None:
    assert fill() == Pulled(5, ("xx-ann_woman", "xx-bob_man"))
    files = hub.locate(hub.MODEL, folder)
    assert files.weights.read_bytes() == model.weights
    assert files.config.read_bytes() == model.config
    assert files.tokenizer.read_bytes() == model.tokenizer
    assert files.voice_ids == ("xx-ann_woman", "xx-bob_man")
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    converted = {f"voices/xx-{voice}.{kind}" for voice in ("ann_woman", "bob_man") for kind in ("json", "safetensors")}
    assert left == {"config.json", "model.safetensors", "tokenizer.json", "voices/.pull.lock", *converted}


def test_pulled_model_loads(fill, folder) -> None:
    torch = pytest.importorskip("torch", reason="the engine extra (torch) is not installed")
    from tts_plugin.engine.model.load import load

    fill()
    files = hub.locate(hub.MODEL, folder)
    assert load(files.config, files.weights, torch.device("cpu"), torch.float32).config.latent == 16


def test_pulled_voices_verify_against_their_manifests(model, fill, folder) -> None:
    fill()
    manifest = preset.verify(folder / "voices", "xx-ann_woman")
    assert manifest.source_git_blob == model.source.voices[0].git_blob


def test_second_pull_asks_for_nothing(fill, server) -> None:
    fill()
    server.requests.clear()
    assert fill().fetched == 0
    assert not server.requests


def test_second_pull_mends_what_was_damaged(model, fill, folder, server) -> None:
    fill()
    server.requests.clear()
    (folder / "model.safetensors").write_bytes(bytes(len(model.weights)))
    (folder / "voices" / "xx-bob_man.safetensors").write_bytes(b"")
    assert fill().fetched == 2
    assert hub.locate(hub.MODEL, folder).weights.read_bytes() == model.weights
    preset.verify(folder / "voices", "xx-bob_man")
    assert [request.path for request in server.requests] == ["/voices/xx-Bob_man.pt", model.weights_path]


def test_voice_converted_from_other_bytes_is_replaced_by_the_published_one(model, fill, folder) -> None:
    other = Preset()
    other.entries["a/more"] = b"another file of the same name"
    (folder / "xx-Ann_woman.pt").parent.mkdir()
    (folder / "xx-Ann_woman.pt").write_bytes(other.packed())
    preset.convert(folder / "xx-Ann_woman.pt", folder / "voices")
    fill()
    assert preset.verify(folder / "voices", "xx-ann_woman").source_git_blob == model.source.voices[0].git_blob


def test_only_the_named_voices_come(fill, folder) -> None:
    assert fill("XX-Bob_man").voices == ("xx-bob_man",)
    assert hub.locate(hub.MODEL, folder).voice_ids == ("xx-bob_man",)


def test_unknown_voice_is_answered_with_the_known_ones(fill, server, folder) -> None:
    with pytest.raises(UnknownVoice, match="no voice 'nova'; known: xx-ann_woman, xx-bob_man"):
        fill("nova")
    assert not server.requests
    assert not folder.exists()


def test_voice_that_is_not_the_published_one_is_thrown_away(fill, server, folder, model) -> None:
    server.files["/voices/xx-Ann_woman.pt"] = bytes(len(model.voices["xx-Ann_woman.pt"]))
    with pytest.raises(PullProblem, match="xx-Ann_woman.pt came with git blob .* thrown away"):
        fill()
    assert not list((folder / "voices").glob("xx-ann*"))


def test_hostile_voice_runs_nothing_and_leaves_nothing(server, fill, folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Preset()
    made.models["tts_lm"] = name("os", "system") + tuple_(text("touch was-run")) + b"R"
    hostile = publish(server, {"xx-Evil_man.pt": made.packed()})
    with pytest.raises(PullProblem, match="names 'os system'.*--voice"):
        fill(source=hostile.source)
    assert not (tmp_path / "was-run").exists()
    assert [path.name for path in (folder / "voices").iterdir() if path.name[0] != "."] == []
    assert not list(folder.rglob("*.pt"))


@pytest.mark.skipif(not REAL_VOICES.is_dir(), reason="the published voices are not beside this repository")
def test_real_published_voices_are_recognised_and_converted(server, fill, folder) -> None:
    files = {path.name: path.read_bytes() for path in REAL_VOICES.glob("*.pt")}
    real = publish(server, files)
    listed = tuple(voice for voice in published() if voice.file in files)
    fill(source=replace(real.source, voices=listed))
    assert hub.locate(hub.MODEL, folder).voice_ids == tuple(sorted(voice.id for voice in listed))
    assert all(preset.verify(folder / "voices", voice.id).published for voice in listed)


def test_files_that_somebody_carried_here_need_no_network(model, fill, folder, server) -> None:
    (folder / "voices").mkdir(parents=True)
    (folder / "config.json").write_bytes(model.config)
    (folder / "model.safetensors").write_bytes(model.weights)
    (folder / "tokenizer.json").write_bytes(model.tokenizer)
    for file, content in model.voices.items():
        (folder / "voices" / file).write_bytes(content)
    fill(source=replace(model.source, offline=True))
    assert hub.locate(hub.MODEL, folder).voice_ids == ("xx-ann_woman", "xx-bob_man")
    assert not server.requests


def test_carried_voice_that_is_not_the_published_one_is_fetched(fill, folder, server) -> None:
    (folder / "voices").mkdir(parents=True)
    (folder / "voices" / "xx-Ann_woman.pt").write_bytes(b"something else")
    fill("xx-ann_woman")
    preset.verify(folder / "voices", "xx-ann_woman")
    assert server.ranges_of("/voices/xx-Ann_woman.pt") == [None]


def test_space_is_checked_before_anything_is_fetched(model, fill, server) -> None:
    huge = replace(model.source, weights=replace(model.source.weights, bytes=10**18))
    with pytest.raises(PullProblem, match=r"1000000000\.00 GB are to come .* free some space, or name a folder"):
        fill(source=huge)
    assert not server.requests


def test_a_second_pull_at_the_same_time_is_turned_away(fill, folder) -> None:
    with folder_place(folder).alone(), pytest.raises(PullProblem, match="another tts-ops pull is filling"):
        fill()
    fill()


def test_nothing_of_a_failed_pull_counts_as_pulled(model, fill, server, folder) -> None:
    server.always[model.weights_path] = Body(cut=500)
    with pytest.raises(PullProblem, match="gave up"):
        fill()
    with pytest.raises(ValueError, match=r"lacks model.safetensors: .*tts-ops pull --to"):
        hub.locate(hub.MODEL, folder)


def test_hub_cache_is_filled_so_that_the_hubs_own_library_finds_it(model, fill, tmp_path, caches) -> None:
    from huggingface_hub import try_to_load_from_cache

    assert hub.locate() is None
    fill(place=cache_place())
    found = try_to_load_from_cache(hub.MODEL, hub.WEIGHTS_FILE, cache_dir=tmp_path / "hub", revision=hub.MODEL_REVISION)
    files = hub.locate()
    assert Path(found) == files.weights
    assert files.weights.read_bytes() == model.weights
    assert files.tokenizer.read_bytes() == model.tokenizer
    assert files.voice_ids == ("xx-ann_woman", "xx-bob_man")
    assert (tmp_path / "assets") in files.voices.parents


def test_killed_pull_is_resumed(model, fill, folder, server, tmp_path) -> None:
    server.faults[model.weights_path] = [Body(first=500_000)]
    given = tmp_path / "source.json"
    given.write_text(json.dumps(asdict(model.source)))
    with subprocess.Popen([sys.executable, "-c", PULL_PROCESS, str(given), str(folder)]) as process:
        part = folder / "model.safetensors.part"
        deadline = time.monotonic() + 30
        while not part.exists() or part.stat().st_size < 250_000:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    kept = part.stat().st_size
    assert fill().fetched == 1
    assert server.ranges_of(model.weights_path)[-1] == f"bytes={kept}-"
    assert hub.locate(hub.MODEL, folder).weights.read_bytes() == model.weights


PULL_PROCESS = """
import json, sys
from pathlib import Path
from tts_plugin.published_voices import PublishedVoice
from tts_plugin.pull.place import folder_place
from tts_plugin.pull.progress import Progress
from tts_plugin.pull.pull import pull
from tts_plugin.pull.source import HubFile, Source
given = json.loads(Path(sys.argv[1]).read_text())
for key in ("config", "weights", "tokenizer"):
    given[key] = HubFile(**given[key])
given["voices"] = tuple(PublishedVoice(**voice) for voice in given["voices"])
pull(Source(**given), folder_place(Path(sys.argv[2])), (), Progress(sys.stderr))
"""


def test_pinned_files_are_those_of_the_facts() -> None:
    source = Source()
    weights = source.hub_file(source.weights)
    assert weights.url.startswith("https://")
    assert weights.url.endswith(
        "/microsoft/VibeVoice-Realtime-0.5B/resolve/6bce5f06044837fe6d2c5d7a71a84f0416bd57e4/model.safetensors"
    )
    assert (weights.bytes, weights.digest[:8]) == (2_035_332_888, "7758b150")
    assert (source.config.bytes, source.config.sha256[:8]) == (2_117, "caee2691")
    assert (source.tokenizer.sha256[:8], source.tokenizer.sha256[-4:]) == ("c0382117", "7539")
    emma = source.voice_file(source.choose(["en-emma_woman"])[0])
    assert emma.url.endswith("/e73d1e17c3754f046352014856a922f8208fb5d3/demo/voices/streaming_model/en-Emma_woman.pt")
    assert (emma.digest_kind, emma.digest, emma.bytes) == (
        "git blob",
        "9876ca31f3fad23cea06ea4b73bfea799c3c747b",
        3_343_090,
    )


def test_hub_settings_are_respected(monkeypatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants", reason="the engine extra is not installed")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    source = sources.configured_source()
    assert (source.hub_url, source.token, source.offline) == ("http://127.0.0.1:9", "hf_secret", True)
    assert "hf_secret" not in repr(source)


def test_default_patience_ends() -> None:
    assert Patience().silence_s < 60
    assert Patience().attempts < 10
