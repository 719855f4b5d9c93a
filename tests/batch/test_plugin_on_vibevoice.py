"""The plugin's own tests once more, with VibeVoice (small, random weights) in the engine's process.

Left out: what judges the sound or its length by the text, since random weights speak noise and do not know when to end;
and what awaits sound of a text that neither ends nor has five ids, of which VibeVoice by design says nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

FILES = ("test_plugin_speech.py", "test_cancel.py", "test_engine_loss.py")
LEFT_OUT = (
    "recogniser_understands",
    "hear_their_own_text",
    "timed_words_joined",
    "five_thousand_characters",
    "odd_text",
    "does_not_run_far_ahead",  # the engine here may: so that the tests need not take as long as the speech
    "two_hundred_streams",  # test_vibevoice_backend.py has its own
)


@pytest.mark.timeout(400)
def test_the_plugins_tests_pass_with_vibevoice_in_the_engine(model_folder: Path, root: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout_method=signal"]
    files = [str(root / "tests" / "plugin" / name) for name in FILES]
    chosen = ["-k", " and ".join(f"not {name}" for name in LEFT_OUT)]
    environment = os.environ | {"PLUGIN_TEST_MODEL": str(model_folder)}
    done = subprocess.run(
        [*command, *files, *chosen], env=environment, cwd=root, capture_output=True, text=True, timeout=380
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
