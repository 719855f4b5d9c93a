"""What our four dashboards show. `python deploy/monitoring/generate.py` writes them as Grafana's JSON."""

from __future__ import annotations

from panels import Board, Panel, Row

ALL = '{namespace=~"$namespace",pod=~"$pod"}'
RATE = "[$__rate_interval]"


def pick(labels: str = "") -> str:
    """The chosen pods, and `labels` too."""
    return f'{{namespace=~"$namespace",pod=~"$pod"{"," if labels else ""}{labels}}}'


def per_second(name: str, labels: str = "", by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({name}{pick(labels)}{RATE}))"


def quantile(q: float, name: str, labels: str = "", by: str = "") -> str:
    return f"histogram_quantile({q}, {per_second(f'{name}_bucket', labels, f'le,{by}' if by else 'le')})"


def share_within(name: str, seconds: str, labels: str = "") -> str:
    """Part of the observations that took at most `seconds`, a bucket's edge."""
    within = per_second(f"{name}_bucket", f'le="{seconds}"{"," if labels else ""}{labels}')
    return f"{within} / {per_second(f'{name}_count', labels)}"


def quantiles(name: str, labels: str = "") -> dict[str, str]:
    return {f"p{int(q * 100)}": quantile(q, name, labels) for q in (0.5, 0.95, 0.99)}


INTERRUPTED = per_second("voice_turns_total", 'interrupted="true"')
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

TTS = Board(
    "tts-ops-tts",
    "Voice agent: speech",
    "The engines: how soon they begin, whether they keep up, what they are busy with.",
    (
        Row(
            "Speech",
            (
                Panel(
                    "First audio",
                    "Seconds from the first text of an utterance to its first audio.",
                    "s",
                    quantiles("tts_time_to_first_audio_seconds"),
                    limit=0.5,
                ),
                Panel(
                    "Utterances",
                    "Per second, by how they ended.",
                    "ops",
                    {"{{status}}": per_second("tts_requests_total", by="status")},
                    stacked=True,
                ),
                Panel(
                    "Length of an utterance",
                    "Seconds from admission to the end.",
                    "s",
                    quantiles("tts_request_duration_seconds"),
                ),
            ),
        ),
        Row(
            "Keeping up",
            (
                Panel(
                    "Real-time headroom",
                    "Real time over the time of a step. Below 1 listeners hear gaps.",
                    "short",
                    {"{{pod}}": f"tts_real_time_headroom{ALL}"},
                    limit=1.2,
                ),
                Panel(
                    "Compute per second of speech",
                    "Seconds of computing for one second of sound, all utterances of a batch together.",
                    "short",
                    {"engines": f"{per_second('tts_compute_seconds_total')} / {per_second('tts_audio_seconds_total')}"},
                ),
                Panel(
                    "Listeners run dry",
                    "Per second: because the engine was late, and because the text was.",
                    "eps",
                    {"engine late": per_second("tts_underrun_total"), "text late": per_second("tts_starved_total")},
                ),
            ),
        ),
        Row(
            "Room",
            (
                Panel(
                    "Slots",
                    "Utterances being said, and how many may be.",
                    "short",
                    {
                        "being said": f"sum(tts_active_utterances{ALL})",
                        "slots": f"sum(tts_slots{ALL})",
                    },
                ),
                Panel(
                    "KV pages free",
                    "Part of the KV cache's pages that nobody has or was promised.",
                    "percentunit",
                    {"{{pod}}": f"tts_kv_pages_free{ALL} / (tts_kv_pages{ALL} > 0)"},
                ),
                Panel(
                    "Graphics card",
                    "How busy it is. It tells little of capacity: one small kernel counts as busy.",
                    "percent",
                    {"{{pod}}": f"tts_gpu_utilization_percent{ALL}"},
                ),
                Panel(
                    "Cancel to free",
                    "Seconds from a cancel to nothing being computed for it any more.",
                    "s",
                    quantiles("tts_cancel_to_free_seconds"),
                    limit=0.3,
                ),
                Panel(
                    "Model load",
                    "Seconds that loading the voice took at the last start.",
                    "s",
                    {"{{pod}}": f"tts_model_load_time_seconds{ALL}"},
                ),
                Panel(
                    "Step age",
                    "Seconds since an engine last did anything, while it has something to say.",
                    "s",
                    {"{{pod}}": f"tts_step_age_seconds{ALL} and tts_active_utterances{ALL} > 0"},
                    limit=2,
                ),
            ),
        ),
        Row(
            "Utterances ended early",
            (
                Panel(
                    "Guards",
                    "Per second: spoke on and on, went silent, repeated itself, short text made anew.",
                    "eps",
                    {
                        "on and on": per_second("tts_runaway_total"),
                        "silent": per_second("tts_gone_silent_total"),
                        "repeating": per_second("tts_loop_total"),
                        "made anew": per_second("tts_short_retry_total"),
                    },
                    width=24,
                ),
            ),
        ),
    ),
)

FLEET = Board(
    "tts-ops-fleet",
    "Voice agent: fleet and autoscaling",
    "Workers: how full, how many, how they come and go; and the watcher.",
    (
        Row(
            "Room",
            (
                Panel(
                    "Occupancy",
                    "Calls over capacity of workers that take new calls: what the autoscaler reads.",
                    "percentunit",
                    {
                        "occupancy": f"sum(voice_calls_active{ALL} and voice_draining{ALL} == 0)"
                        f" / sum(voice_calls_capacity{ALL} and voice_draining{ALL} == 0)"
                    },
                    limit=0.9,
                ),
                Panel(
                    "Free places",
                    "Calls that can begin now, by worker.",
                    "short",
                    {"{{pod}}": f"voice_calls_free{ALL}"},
                    stacked=True,
                ),
                Panel(
                    "Workers",
                    "Workers that take calls, and workers that are draining.",
                    "short",
                    {
                        "taking calls": f"count(voice_draining{ALL} == 0)",
                        "draining": f"count(voice_draining{ALL} == 1)",
                    },
                ),
            ),
        ),
        Row(
            "Coming and going",
            (
                Panel(
                    "Replicas",
                    "What the autoscaler wants, has, and may have at most (kube-state-metrics).",
                    "short",
                    {
                        "wanted": 'kube_horizontalpodautoscaler_status_desired_replicas{namespace=~"$namespace"}',
                        "there": 'kube_horizontalpodautoscaler_status_current_replicas{namespace=~"$namespace"}',
                        "at most": 'kube_horizontalpodautoscaler_spec_max_replicas{namespace=~"$namespace"}',
                    },
                ),
                Panel(
                    "Draining for",
                    "Seconds since each worker was told to stop.",
                    "s",
                    {"{{pod}}": f"voice_drain_seconds{ALL} > 0"},
                    limit=2700,
                ),
                Panel(
                    "Jobs",
                    "Per second: ended, killed because they were frozen, calls cut.",
                    "ops",
                    {
                        "ended": per_second("voice_jobs_ended_total"),
                        "killed": per_second("voice_jobs_killed_total"),
                        "cut": per_second("voice_calls_cut_total"),
                    },
                ),
            ),
        ),
        Row(
            "Watcher",
            (
                Panel(
                    "Rooms without an agent",
                    "Rooms with a caller and no agent, now.",
                    "short",
                    {"rooms": f"max(voice_agentless_rooms{ALL})"},
                    limit=1,
                ),
                Panel(
                    "Agents sent for",
                    "Per second, by why.",
                    "ops",
                    {"{{cause}}": per_second("voice_redispatches_total", by="cause")},
                    stacked=True,
                ),
                Panel(
                    "How late it is",
                    "Seconds by which the watcher's last round was late.",
                    "s",
                    {"{{pod}}": f"voice_watcher_lag_seconds{ALL}"},
                    limit=2,
                ),
            ),
        ),
    ),
)

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

BOARDS = {
    "voice-agent-overview.json": OVERVIEW,
    "tts-performance.json": TTS,
    "voice-agent-fleet.json": FLEET,
    "call-quality.json": QUALITY,
}
