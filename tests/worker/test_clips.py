"""Phrases as sound: kept on disk, bounded, never missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from worker import clip_store
from worker.clip_maker import ClipMaker, Speaker
from worker.clip_store import ClipStore
from worker.clips import Clips
from worker.phrases import PHRASES, Phrases, phrases
from worker.turn_guard import without_fillers

NOBODY = "http://127.0.0.1:9"


def test_a_phrase_that_nobody_rendered_is_a_tone_and_not_silence() -> None:
    clip = Clips(phrases("en")).get("apology")
    assert 0.1 < clip.seconds < 1.0
    assert any(clip.pcm)


def test_the_frames_are_the_whole_clip_and_the_first_one_has_the_words() -> None:
    clips = Clips(phrases("en"))
    clips.put(clips.phrases.apology or "", bytes(range(250)) * 100)
    clip = clips.get("apology")
    frames = list(clip.frames())
    assert b"".join(bytes(frame.data.cast("B")) for frame in frames) == clip.pcm
    assert [bool(frame.userdata) for frame in frames] == [True] + [False] * (len(frames) - 1)


def test_fillers_take_turns_and_begin_anew_with_each_turn() -> None:
    clips = Clips(phrases("en"))
    said = [clips.get("filler").text for _ in range(4)]
    assert said == [*clips.fillers, clips.fillers[0]]
    clips.begin_turn()
    assert clips.get("filler").text == clips.fillers[0]


@pytest.mark.parametrize("language", PHRASES)
def test_every_language_has_every_phrase(language: str) -> None:
    assert all(PHRASES[language].model_dump().values())


def test_own_phrases_replace_those_of_the_language_and_others_stay() -> None:
    said = phrases("de-AT", Phrases(filler=("Na geh.",)))
    assert said.filler == ("Na geh.",)
    assert said.apology == PHRASES["de"].apology


def test_a_language_without_phrases_speaks_english() -> None:
    assert phrases("fi") == PHRASES["en"]


def test_what_was_kept_is_found_by_voice_and_text(tmp_path: Path) -> None:
    store = ClipStore(tmp_path)
    store.put("emma", "One moment.", b"\x01\x00" * 10)
    assert store.get("emma", "One moment.") == b"\x01\x00" * 10
    assert store.get("mike", "One moment.") is None
    assert store.get("emma", "Another.") is None


def test_the_folder_does_not_grow_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_store, "MAX_FILES", 5)
    store = ClipStore(tmp_path)
    for n in range(12):
        store.put("emma", f"text {n}", b"\x01\x00")
    assert len(list(tmp_path.rglob("*.s16"))) == 5


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = ClipStore(tmp_path / "file")
    with store.alone():
        store.put("emma", "text", b"\x01\x00")
    assert store.get("emma", "text") is None


def test_a_user_without_a_home_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", classmethod(lambda _: (_ for _ in ()).throw(RuntimeError("no home"))))
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    store = ClipStore(Path("~/.cache/tts-ops"))
    store.put("emma", "text", b"\x01\x00")
    assert store.get("emma", "text") == b"\x01\x00"
    assert list(tmp_path.rglob("*.s16"))


def test_without_any_engine_what_is_on_disk_is_not_needed_and_nothing_fails(tmp_path: Path) -> None:
    maker = ClipMaker(Clips(phrases("en")), Speaker((NOBODY, NOBODY), "default", "en"), ClipStore(tmp_path))
    assert asyncio.run(maker.fill()) is False
    assert maker.clips.get("filler").seconds > 0


FILLERS = ("One moment, please.", "I am still working on it.")


@pytest.mark.parametrize(
    ("said", "interrupted", "rest"),
    [
        ("One moment, please. We open at nine.", False, "We open at nine."),
        ("One moment, please. I am still working on it. We open.", False, "We open."),
        ("One moment, please. ", False, ""),
        ("One mom", True, ""),
        ("One mom", False, "One mom"),
        ("We open. One moment, please.", False, "We open. One moment, please."),
    ],
)
def test_fillers_are_no_part_of_the_answer(said: str, interrupted: bool, rest: str) -> None:
    assert without_fillers(said, FILLERS, interrupted=interrupted) == rest
