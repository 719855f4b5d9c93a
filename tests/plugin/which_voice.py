"""Which voice the engine of these tests has: the embedded one, or VibeVoice with random weights (PLUGIN_TEST_MODEL).

Random weights speak noise, and do not know when to end: they go on until the engine's guards end them.
"""

from __future__ import annotations

import os

import pytest

SPEAKS = "PLUGIN_TEST_MODEL" not in os.environ  # and so its sound and its length can be judged by the text


def embedded_voice_only(why: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not SPEAKS, reason=f"of the embedded voice only: {why}")
