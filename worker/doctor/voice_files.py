"""What of VibeVoice is on this machine: weights and voices."""

from __future__ import annotations

from tts_plugin import hub
from tts_plugin.engine.model.config import WrongCheckpoint
from tts_plugin.published_voices import published
from worker.doctor.finding import Finding, missing, note, ok
from worker.settings import Settings

NAME = "VibeVoice's files"


def look_at_voice_files(settings: Settings) -> list[Finding]:
    try:
        files = hub.locate(settings.tts_model_name, settings.tts_model_path)
    except WrongCheckpoint as wrong:
        what, _, mend = str(wrong).partition(": ")
        return [missing(NAME, what, mend)]
    if files is None:
        state = missing if settings.tts_backend == "vibevoice" else note
        return [state(NAME, f"{settings.tts_model_name} was not pulled", "tts-ops pull (2 GB)")]
    voices = len(files.voice_ids)
    if not voices:
        return [missing(NAME, f"weights in {files.weights.parent}, no voice in {files.voices}", "tts-ops pull")]
    return [ok(NAME, f"weights in {files.weights.parent}, {voices} of {len(published())} voices in {files.voices}")]
