"""Writes deploy/monitoring/dashboards/*.json from boards/: python deploy/monitoring/generate.py"""

from __future__ import annotations

import json
from pathlib import Path

from boards import BOARDS
from panels import render

FOLDER = Path(__file__).resolve().parent / "dashboards"


def texts() -> dict[str, str]:
    """File name → its JSON."""
    return {name: json.dumps(render(board), indent=2) + "\n" for name, board in BOARDS.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
        print(f"wrote {name}")  # noqa: T201
