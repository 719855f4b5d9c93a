"""Our dashboards by file name. `python deploy/monitoring/generate.py` writes them as Grafana's JSON."""

from __future__ import annotations

from boards.fleet import FLEET
from boards.overview import OVERVIEW
from boards.quality import QUALITY
from boards.speech import TTS

BOARDS = {
    "voice-agent-overview.json": OVERVIEW,
    "tts-performance.json": TTS,
    "voice-agent-fleet.json": FLEET,
    "call-quality.json": QUALITY,
}
