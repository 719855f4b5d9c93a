"""Whether callers are well served, and how much room is left."""

from __future__ import annotations

from panels import Board, Panel, Row
from queries import ALL, per_second, quantile, quantiles

from boards.promises import ANSWERED, PROMISES

OVERVIEW = Board(
    "tts-ops-overview",
    "Voice agent: overview",
    "Whether callers are well served, and how much room is left.",
    (
        PROMISES,
        Row(
            "Callers",
            (
                Panel(
                    "Calls",
                    "Calls under way and how many the workers take.",
                    "short",
                    {"under way": f"sum(voice_calls_active{ALL})", "capacity": f"sum(voice_calls_capacity{ALL})"},
                ),
                Panel(
                    "Answer after the caller's last sound",
                    "Seconds to the agent's first sound.",
                    "s",
                    quantiles("voice_turn_seconds", ANSWERED),
                    limit=1.0,
                ),
                Panel(
                    "Refused calls",
                    "Calls per second that found no room, by door and reason.",
                    "reqps",
                    {"{{door}} {{reason}}": per_second("voice_calls_refused_total", by="door,reason")},
                    stacked=True,
                ),
            ),
        ),
        Row(
            "What went wrong",
            (
                Panel(
                    "Errors within calls",
                    "Errors per second by the part they came from.",
                    "eps",
                    {"{{source}}": per_second("voice_errors_total", by="source")},
                    stacked=True,
                ),
                Panel(
                    "What was done against silence",
                    "Fillers, apologies and utterances that another engine finished, per second.",
                    "eps",
                    {
                        "fillers": per_second("voice_fillers_total"),
                        "apologies": per_second("voice_apologies_total"),
                        "other engine": per_second("voice_speech_swaps_total"),
                    },
                ),
                Panel(
                    "Breakers",
                    "State of each dependency's circuit breaker: 0 closed, 1 half-open, 2 open.",
                    "short",
                    {"{{dependency}}": f"max by (dependency) (voice_breaker_state{ALL})"},
                    limit=2,
                ),
            ),
        ),
        Row(
            "HTTP",
            (
                Panel(
                    "Requests",
                    "Requests per second by route and status.",
                    "reqps",
                    {"{{route}} {{status}}": per_second("voice_http_requests_total", by="route,status")},
                    width=12,
                    stacked=True,
                ),
                Panel(
                    "First byte",
                    "95th percentile of the seconds to the first byte of an answer, by route.",
                    "s",
                    {"{{route}}": quantile(0.95, "voice_http_first_byte_seconds", by="route")},
                    width=12,
                ),
            ),
        ),
    ),
)
