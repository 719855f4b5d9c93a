"""`tts-ops pull` and `tts-ops voices`, and what the doctor finds of what they fetched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from file_server import Body, FileServer
from preset_files import Preset
from published import Published, publish

from tts_plugin import hub
from tts_plugin.published_voices import published
from worker import pull, voice_list
from worker.doctor.voice_files import look_at_voice_files
from worker.settings import Settings


@pytest.fixture
def model(server: FileServer) -> Published:
    return publish(server, {"fr-Ann_woman.pt": Preset().packed()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "carried"


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


def test_pull_to_a_folder_says_how_to_use_it(model, folder, patience, capsys) -> None:
    assert pull.run(settings(), to=folder, source=model.source, patience=patience) == 0
    told = capsys.readouterr()
    assert f"VibeVoice and 1 voices are in {folder} (4 files fetched, all verified)." in told.out
    assert f"TTS_MODEL_PATH={folder}" in told.out
    assert "\nmodel.safetensors: 889 kB, verified\n" in told.err


def test_pull_fills_the_folder_that_the_settings_name(model, folder, patience) -> None:
    carried = settings(tts_model_path=folder)
    assert pull.run(carried, source=model.source, patience=patience) == 0
    assert hub.locate(carried.engine.model_name, carried.engine.model_path).voice_ids == ("fr-ann_woman",)


def test_pull_into_the_cache_is_found_by_the_engines_configuration(model, caches, patience, capsys) -> None:
    assert pull.run(settings(), source=model.source, patience=patience) == 0
    assert "TTS_BACKEND=vibevoice" in capsys.readouterr().out
    config = settings().engine
    assert hub.locate(config.model_name, config.model_path) is not None


def test_pull_for_a_cpu_leaves_what_the_first_start_opens(model, folder, patience, capsys, monkeypatch) -> None:
    assert pull.run(settings(), to=folder, device="cpu", source=model.source, patience=patience) == 0
    assert "\nconverting for this CPU: 6 of 6 (velocity)\n" in capsys.readouterr().err
    (converted,) = (folder / "onnx").iterdir()
    assert (converted / "tts.onnx").is_file()
    before = converted.stat().st_mtime_ns
    assert pull.run(settings(), to=folder, device="cpu", source=model.source, patience=patience) == 0
    assert "converting" not in capsys.readouterr().err
    assert converted.stat().st_mtime_ns == before


def test_pull_for_a_cpu_fills_the_cache_that_an_engine_looks_into(model, caches, patience) -> None:
    assert pull.run(settings(), device="cpu", source=model.source, patience=patience) == 0
    assert len(list(hub.converted_cache().iterdir())) == 1


def test_pull_for_a_card_has_nothing_to_convert_and_says_so(folder, capsys) -> None:
    assert pull.run(settings(), to=folder, device="cuda") == 1
    assert "only cpu needs something made beforehand" in capsys.readouterr().err
    assert not folder.exists()


def test_failure_is_one_line_and_exit_code_1(model, server, folder, patience, capsys) -> None:
    server.always[model.weights_path] = Body(status=404)
    assert pull.run(settings(), to=folder, source=model.source, patience=patience) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("tts-ops pull: model.safetensors: ")
    assert "TTS_MODEL_PATH" in last


def test_stopping_is_said_and_exit_code_130(model, folder, patience, monkeypatch) -> None:
    stopping = Stopping()
    monkeypatch.setattr(sys, "stderr", stopping)
    assert pull.run(settings(), to=folder, source=model.source, patience=patience) == 130
    assert "tts-ops pull goes on from here" in stopping.text


class Stopping:
    """A standard error at which Ctrl-C is pressed when the weights begin."""

    text = ""

    def write(self, text: str) -> None:
        self.text += text
        if text.startswith("model.safetensors"):
            raise KeyboardInterrupt

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def test_another_model_is_not_pulled(folder, capsys) -> None:
    assert pull.run(settings(tts_model_name="some/fork"), to=folder) == 1
    assert "TTS_MODEL_NAME is some/fork; sizes and hashes are known of microsoft/" in capsys.readouterr().err


def test_command_line_answers_an_unknown_voice_with_the_known_ones() -> None:
    command = [sys.executable, "-m", "worker.cli", "pull", "--voice", "nova"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("tts-ops pull: there is no voice 'nova'; known: de-spk0_man, ")


def test_voices_lists_embedded_published_and_own_ones(model, folder, patience, capsys) -> None:
    carried = settings(tts_model_path=folder)
    pull.run(carried, source=model.source, patience=patience)
    capsys.readouterr()
    assert voice_list.run(carried, as_json=True) == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(rows) == 1 + len(published()) + 1
    assert (rows["heart"]["licence"], rows["heart"]["state"]) == ("Apache-2.0", "installed")
    emma, ann = rows["en-emma_woman"], rows["fr-ann_woman"]
    assert (emma["language"], emma["gender"], emma["licence"], emma["state"]) == ("en", "female", "MIT", "not pulled")
    assert (ann["language"], ann["gender"], ann["origin"], ann["state"]) == ("fr", "female", "fr-Ann_woman.pt", "there")


def test_voices_table_says_how_to_get_the_others(caches, capsys) -> None:
    assert voice_list.run(settings()) == 0
    table = capsys.readouterr().out
    assert "jp-spk0_man     ja        male    MIT         microsoft/VibeVoice  not pulled" in table
    assert "tts-ops pull fetches those that are not pulled" in table


def test_every_published_voice_has_a_language_and_a_gender() -> None:
    assert {voice.language for voice in published()} == {"de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt"}
    assert {voice.gender for voice in published()} == {"female", "male"}


def test_doctor_tells_what_was_pulled(model, folder, patience) -> None:
    carried = settings(tts_model_path=folder)
    pull.run(carried, source=model.source, patience=patience)
    [finding] = look_at_voice_files(carried)
    assert finding.state == "ok"
    assert f"weights in {folder}, 1 of 25 voices" in finding.text


@pytest.mark.parametrize(("backend", "state"), [("auto", "note"), ("vibevoice", "missing")])
def test_doctor_names_the_pull_where_nothing_is(caches, backend, state) -> None:
    [finding] = look_at_voice_files(settings(tts_backend=backend))
    assert (finding.state, finding.mend) == (state, "tts-ops pull (2 GB)")


def test_doctor_names_what_a_folder_lacks(tmp_path) -> None:
    [finding] = look_at_voice_files(settings(tts_model_path=tmp_path))
    assert finding.state == "missing"
    assert "lacks config.json and model.safetensors" in finding.text
    assert "tts-ops pull --to" in finding.mend
