"""docs/vibevoice.md names every voice, the pinned revisions, and commands that exist."""

import re
import subprocess
import sys
from pathlib import Path

from tts_plugin import hub, published_voices

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "vibevoice.md").read_text(encoding="utf-8")


def test_the_table_names_every_voice():
    [section] = re.findall(r"## Which voices\n(.*?)\n## ", PAGE, re.S)
    listed = re.findall(r"`(\w\w-\w+_(?:wo)?man)`", section.partition("| language")[2])
    assert sorted(listed) == sorted(voice.id for voice in published_voices.published())


def test_the_pinned_revisions_are_named():
    for revision in (hub.MODEL_REVISION, hub.TOKENIZER_REVISION, published_voices.REVISION):
        assert f"`{revision[:8]}`" in PAGE


def test_every_command_and_option_exists():
    for command in set(re.findall(r"tts-ops (\w+)", PAGE)):
        done = subprocess.run(
            [sys.executable, "-m", "worker.cli", command, "--help"],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == 0, command
        for line in re.findall(rf"tts-ops {command}\b(.*)", PAGE):
            for option in re.findall(r"--\w+", line.partition("#")[0].partition("`")[0]):
                assert option in done.stdout, (command, option)
