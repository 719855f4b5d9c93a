"""The engines: how soon they begin, whether they keep up, what they are busy with."""

from __future__ import annotations

from panels import Board, Panel, Row
from queries import ALL, per_second, quantiles

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
