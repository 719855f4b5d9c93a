"""Where the time of a turn goes, and what callers heard."""

from __future__ import annotations

from panels import Board, Panel, Row
from queries import per_second, quantile, quantiles

from boards.promises import PROMISES

INTERRUPTED = per_second("voice_turns_total", 'interrupted="true"')
QUALITY = Board(
    "tts-ops-call-quality",
    "Voice agent: call quality",
    "Where the time of a turn goes, and what callers heard.",
    (
        PROMISES,
        Row(
            "A turn, step by step",
            (
                Panel(
                    "Median of each step",
                    "Seconds from the caller's last sound to each step of the turn.",
                    "s",
                    {"{{stage}}": quantile(0.5, "voice_turn_seconds", by="stage")},
                    width=12,
                ),
                Panel(
                    "95th percentile of each step",
                    "The same for the slowest twentieth.",
                    "s",
                    {"{{stage}}": quantile(0.95, "voice_turn_seconds", by="stage")},
                    width=12,
                ),
            ),
        ),
        Row(
            "What callers heard",
            (
                Panel(
                    "Longest silence in a turn",
                    "Seconds.",
                    "s",
                    quantiles("voice_dead_air_seconds"),
                    limit=3,
                ),
                Panel(
                    "Interrupted answers",
                    "Part of the agent's answers that the caller cut off.",
                    "percentunit",
                    {"answers": f"{INTERRUPTED} / {per_second('voice_turns_total')}"},
                ),
                Panel(
                    "Missed deadlines",
                    "Per second, by what was waited for.",
                    "eps",
                    {"{{stage}}": per_second("voice_turn_deadline_exceeded_total", by="stage")},
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Phone",
            (
                Panel(
                    "Phone calls",
                    "Per second, by direction and outcome.",
                    "ops",
                    {"{{direction}} {{outcome}}": per_second("voice_phone_calls_total", by="direction,outcome")},
                    stacked=True,
                ),
                Panel(
                    "Ring time",
                    "Seconds from the invitation to the answer.",
                    "s",
                    quantiles("voice_phone_ring_seconds"),
                    limit=1.5,
                ),
                Panel(
                    "Post-dial delay",
                    "Seconds from dialling out to the first ringing.",
                    "s",
                    quantiles("voice_phone_post_dial_seconds"),
                ),
            ),
        ),
        Row(
            "Processes",
            (
                Panel(
                    "Event loops late",
                    "99th percentile of the longest delay of a loop in each 5 s.",
                    "s",
                    {"{{process}}": quantile(0.99, "voice_loop_lag_seconds", by="process")},
                    width=24,
                    limit=0.2,
                ),
            ),
        ),
    ),
)
