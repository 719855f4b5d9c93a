"""Where the engine looks for VibeVoice's files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tts_plugin import hub
from tts_plugin.engine.model.config import WrongCheckpoint


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_nothing_pulled_is_none(caches) -> None:
    assert hub.locate() is None
    assert hub.locate("some/other-model") is None
    assert hub.locate("no-such-folder") is None


def test_named_folder_wins_over_the_cache(caches, tmp_path) -> None:
    fill(hub.snapshot(caches / "hub", hub.MODEL, hub.MODEL_REVISION), "config.json", "model.safetensors")
    own = fill(tmp_path / "own", "config.json", "model.safetensors", "tokenizer.json", "voices/a.json")
    files = hub.locate(hub.MODEL, own)
    assert files == hub.ModelFiles(
        own / "config.json", own / "model.safetensors", own / "tokenizer.json", own / "voices"
    )


def test_model_name_may_be_a_folder(tmp_path) -> None:
    own = fill(tmp_path, "config.json", "model.safetensors")
    assert hub.locate(str(own)).tokenizer is None


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ((), "lacks config.json and model.safetensors: fill it with tts-ops pull --to"),
        (("config.json",), "lacks model.safetensors: "),
    ],
)
def test_named_folder_without_its_files_says_what_it_lacks(tmp_path, there, says) -> None:
    with pytest.raises(WrongCheckpoint, match=f"TTS_MODEL_PATH is {tmp_path}, which {says}"):
        hub.locate(hub.MODEL, fill(tmp_path, *there))


def test_another_model_is_found_at_the_revision_its_main_stands_at(caches) -> None:
    fill(hub.snapshot(caches / "hub", "some/fork", "abc"), "config.json", "model.safetensors")
    assert hub.locate("some/fork") is None
    (hub.repository(caches / "hub", "some/fork") / "refs").mkdir()
    (hub.repository(caches / "hub", "some/fork") / "refs" / "main").write_text("abc")
    assert hub.locate("some/fork").weights.parent.name == "abc"


def test_a_voice_counts_only_with_its_manifest(tmp_path) -> None:
    own = fill(tmp_path, "config.json", "model.safetensors", "voices/a.safetensors", "voices/a.json")
    fill(own, "voices/b.safetensors", "voices/c.json")
    assert hub.locate(hub.MODEL, own).voice_ids == ("a",)


def test_looking_needs_no_torch() -> None:
    code = (
        "import sys; from tts_plugin import hub; hub.locate(); import tts_plugin.pull.pull;"
        " print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.strip() == "False"
