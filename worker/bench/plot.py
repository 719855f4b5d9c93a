"""The engine's figures as a picture: first sound by rate of requests, a step's time by batch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from worker.settings import SettingsError

_LATENT_MS = 1000 * 3_200 / 24_000


def check() -> None:
    """Raises SettingsError where no picture can be drawn."""
    if find_spec("matplotlib") is None:
        raise SettingsError("--plot needs matplotlib, which is not installed: pip install 'tts-ops[bench]'")


def draw(report: dict[str, Any], path: Path) -> None:
    """Writes a PNG. `report`: as `tts-ops bench engine --json` writes it."""
    from matplotlib.figure import Figure

    panels = [name for name in ("rates", "batches") if report[name]]
    figure = Figure(figsize=(5.5 * max(1, len(panels)), 4), layout="constrained")
    figure.suptitle(f"{report['backend']} on {report['device']}, {report['dtype']}; {report['machine']['cpu']}")
    for place, name in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        (_rates if name == "rates" else _batches)(axes, report[name])
        axes.set_ylim(bottom=0)
        axes.legend()
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, format="png", dpi=110)


def _rates(axes: Any, rates: list[dict[str, Any]]) -> None:
    for name in ("p50", "p95", "p99"):
        spoken = [rate for rate in rates if rate["ttfa_s"]]
        axes.plot(
            [rate["rate_per_s"] for rate in spoken],
            [1000 * rate["ttfa_s"][name] for rate in spoken],
            marker="o",
            label=name,
        )
    axes.set(xlabel="requests a second (open loop, Poisson)", ylabel="ms to the first sample")


def _batches(axes: Any, batches: list[dict[str, Any]]) -> None:
    for name in ("p50", "p95"):
        timed = [batch for batch in batches if batch["frame_s"]]
        axes.plot(
            [batch["batch"] for batch in timed],
            [1000 * batch["frame_s"][name] for batch in timed],
            marker="o",
            label=name,
        )
    axes.axhline(_LATENT_MS, linestyle="--", color="grey", label="real time")
    axes.set(xlabel="utterances in a step", ylabel="ms per step (133 ms of audio each)")
