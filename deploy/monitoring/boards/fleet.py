"""Workers: how full, how many, how they come and go; and the watcher."""

from __future__ import annotations

from panels import Board, Panel, Row
from queries import ALL, per_second

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
