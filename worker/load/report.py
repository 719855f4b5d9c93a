"""A run on paper: one JSON file, and one HTML file that holds everything, its pictures too."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from worker.bench.machine import Machine

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1f22}"
    "table{border-collapse:collapse}td,th{padding:.25rem .9rem .25rem 0;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)
Picture = tuple[str, bytes]  # its title, a PNG


def write(folder: Path, title: str, figures: Mapping[str, Any], machine: Machine, pictures: Sequence[Picture]) -> Path:
    """`folder`/report.json and report.html; gives the latter. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"title": title, "machine": asdict(machine), **figures}
    (folder / "report.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    page = folder / "report.html"
    page.write_text(_page(title, whole, pictures), encoding="utf-8")
    return page


def can_draw() -> bool:
    return find_spec("matplotlib") is not None


def histogram(title: str, series: Mapping[str, Sequence[float]], *, unit: str = "ms", scale: float = 1000) -> Picture:
    """How many of the samples were below each value, by name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name, samples in series.items():
        if samples:
            axes.ecdf([sample * scale for sample in samples], label=f"{name} ({len(samples)})")
    axes.set_xlabel(unit)
    axes.set_ylabel("part of all below")
    axes.grid(visible=True, alpha=0.3)
    if axes.lines:
        axes.legend()
    return title, _png(figure)


def timeline(title: str, points: Mapping[str, Sequence[tuple[float, float]]], *, y: str = "s") -> Picture:
    """Each sample where it was due."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for name, series in points.items():
        if series:
            axes.plot(*zip(*series, strict=True), ".", label=name, markersize=4)
    axes.set_xlabel("seconds after the start")
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    if axes.lines:
        axes.legend()
    return title, _png(figure)


def table(rows: Mapping[str, Mapping[str, Any]], *, scale: float = 1000, unit: str = "ms") -> str:
    """Spreads as text, in `unit`; for the terminal."""
    lines = [f"  {'':14}{'n':>7}" + "".join(f"{name:>10}" for name in ("p50", "p90", "p95", "p99", "worst"))]
    for name, spread in rows.items():
        cells = (spread[p] for p in ("p50", "p90", "p95", "p99", "worst"))
        lines.append(
            f"  {name:14}{spread['n']:>7}"
            + "".join("         –" if v is None else f"{v * scale:>10.1f}" for v in cells)
        )
    return "\n".join([*lines, f"  in {unit}"])


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _page(title: str, whole: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    machine = whole["machine"]
    where = html.escape(f"{machine['cores']} cores, {machine['cpu']}, {machine['busy_percent']:.0f} % busy before")
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{html.escape(title)}</h1><p>Client and machine: {where}.</p>")
    for name, value in whole.items():
        if name not in ("title", "machine"):
            parts.append(f"<h2>{html.escape(name.replace('_', ' '))}</h2>{_value(value)}")
    for caption, png in pictures:
        coded = base64.b64encode(png).decode()
        parts.append(
            f"<h2>{html.escape(caption)}</h2><img alt='{html.escape(caption)}' src='data:image/png;base64,{coded}'>"
        )
    if not pictures:
        parts.append("<p>No pictures: matplotlib is not installed (pip install 'tts-ops[bench]').</p>")
    return "\n".join(parts) + "\n"


def _value(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"<p>{html.escape(str(value))}</p>"
    rows = "".join(f"<tr><td>{html.escape(str(key))}</td>{_cells(inner)}</tr>" for key, inner in value.items())
    return f"<table>{rows}</table>"


def _cells(inner: Any) -> str:
    if isinstance(inner, Mapping):
        return "".join(f"<td>{html.escape(str(key))} {_number(one)}</td>" for key, one in inner.items())
    return f"<td>{_number(inner)}</td>"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
