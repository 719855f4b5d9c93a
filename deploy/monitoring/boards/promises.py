"""The row that stands first on two boards: what was promised to callers, and whether it is kept."""

from __future__ import annotations

from panels import Panel, Row
from queries import per_second, share_within

ANSWERED = 'stage="speaking"'
PROMISES = Row(
    "Promises",
    (
        Panel(
            "Turns answered within 1 s",
            "From the caller's last sound to the agent's first. Promised: 95 %.",
            "percentunit",
            {"turns": share_within("voice_turn_seconds", "1.0", ANSWERED)},
            kind="stat",
            width=6,
        ),
        Panel(
            "Turns without 3 s of silence",
            "Longest silence within an agent's turn, whatever failed. Promised: 99.5 %.",
            "percentunit",
            {"turns": share_within("voice_dead_air_seconds", "3.0")},
            kind="stat",
            width=6,
        ),
        Panel(
            "Underruns per minute of speech",
            "Times a listener's buffer ran dry. Promised: one in 1,000 minutes.",
            "short",
            {"underruns": f"60 * {per_second('tts_underrun_total')} / {per_second('tts_audio_seconds_total')}"},
            kind="stat",
            width=6,
            limit=0.001,
        ),
        Panel(
            "Calls cut or without an agent",
            "Calls told goodbye for want of a worker, or closed because none came. Promised: one in 1,000.",
            "percentunit",
            {
                "calls": f"({per_second('voice_calls_cut_total')} + {per_second('voice_calls_failed_total')})"
                f" / {per_second('voice_jobs_ended_total')}"
            },
            kind="stat",
            width=6,
            limit=0.001,
        ),
    ),
)
