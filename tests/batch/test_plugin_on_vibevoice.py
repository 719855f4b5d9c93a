"""The plugin's own tests once more, with VibeVoice (small, random weights) in the engine's process.

What cannot be asked of random weights says so itself, in tests/plugin, by the mark `embedded_voice_only` and a reason.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the engine extra (torch) is not installed")

FILES = ("test_plugin_speech.py", "test_cancel.py", "test_engine_loss.py", "test_in_a_session.py")
LEFT_OUT = 5  # of their tests


@pytest.mark.timeout(400)
def test_the_plugins_tests_pass_with_vibevoice_in_the_engine(model_folder: Path, root: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-o", "timeout_method=signal"]
    files = [str(root / "tests" / "plugin" / name) for name in FILES]
    environment = os.environ | {"PLUGIN_TEST_MODEL": str(model_folder)}
    done = subprocess.run([*command, *files], env=environment, cwd=root, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stdout[-4_000:]
    assert re.search(r"\b[1-9]\d* passed", done.stdout)
    skipped = re.findall(r"^SKIPPED \[(\d+)\] .*?: (.*)$", done.stdout, re.MULTILINE)
    assert all(reason.startswith("of the embedded voice only: ") for _, reason in skipped), skipped
    assert sum(int(count) for count, _ in skipped) == LEFT_OUT, skipped
