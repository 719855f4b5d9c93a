"""pipecat in an environment of its own, for the test that its OpenAI TTS service speaks through our HTTP service.

Not among our packages: it wants another protobuf than LiveKit's, and 200 MB of compilers that nothing here needs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from worker.setup import uv
from worker.setup.places import REQUIREMENTS, TOOLS

PYTHON = TOOLS / "pipecat" / "bin" / "python"
_MADE_FROM = TOOLS / "pipecat" / "made-from"


def ensure(life: uv.Life) -> Path:
    """Its Python; made anew when requirements/pipecat.txt is another one."""
    lock = hashlib.sha256((REQUIREMENTS / "pipecat.txt").read_bytes()).hexdigest()
    if not _MADE_FROM.exists() or _MADE_FROM.read_text() != lock:
        uv.tool("pipecat", life)
        _MADE_FROM.write_text(lock)
    return PYTHON
