"""What a Grafana dashboard is made of, in as few words as ours need. Knows nothing of what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["timeseries", "stat", "gauge"]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries`: legend → PromQL. `unit` is Grafana's name of one. `limit`: where the line of a promise is drawn."""

    title: str
    description: str
    unit: str
    queries: dict[str, str]
    kind: Kind = "timeseries"
    width: int = 8
    limit: float | None = None
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]


def render(board: Board) -> dict[str, Any]:
    """The board as Grafana's JSON, schema 39."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row in board.rows:
        panels.append(_row(row.title, len(panels) + 1, top))
        top += 1
        left = height = 0
        for panel in row.panels:
            tall = 8 if panel.kind == "timeseries" else 5
            if left + panel.width > COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": tall}
            panels.append(_panel(panel, len(panels) + 1, place))
            left, height = left + panel.width, max(height, tall)
        top += height
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["tts-ops"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource_variable(), _variable("namespace"), _variable("pod")]},
        "annotations": {"list": [_changes()]},
        "links": [
            {"type": "dashboards", "tags": ["tts-ops"], "title": "Voice agent", "asDropdown": True, "keepTime": True}
        ],
        "panels": panels,
    }


def _row(title: str, number: int, top: int) -> dict[str, Any]:
    place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    custom: dict[str, Any] = {}
    if panel.kind == "timeseries":
        custom = {"fillOpacity": 15 if panel.stacked else 0, "showPoints": "never", "lineWidth": 1}
        custom["stacking"] = {"mode": "normal" if panel.stacked else "none"}
        custom["thresholdsStyle"] = {"mode": "off" if panel.limit is None else "line"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": _options(panel.kind),
        "targets": [
            {"refId": chr(65 + n), "expr": query, "legendFormat": legend, "datasource": DATASOURCE}
            for n, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _options(kind: Kind) -> dict[str, Any]:
    if kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}


def _datasource_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(label: str) -> dict[str, Any]:
    """A choice among the values of a label; where it is absent (one machine, no Kubernetes) All takes everything."""
    return {
        "name": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f"label_values(up, {label})", "refId": label},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _changes() -> dict[str, Any]:
    return {
        "name": "Workers begin or stop",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": "changes(count(voice_calls_capacity)[1m:10s]) > 0",
        "titleFormat": "workers changed",
    }
