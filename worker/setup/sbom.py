"""The list of all Python packages of an image with versions and licences, in CycloneDX's format."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

_LIST = """
import importlib.metadata as m, json
print(json.dumps([[d.name, d.version, d.metadata.get("License-Expression") or d.metadata.get("License") or ""]
                  for d in m.distributions()]))
"""
LONGEST_LICENCE = 80  # some put their whole text there


def write(target: Path, python: Path, *, name: str) -> None:
    """List what `python` has installed. Raises OSError or subprocess.SubprocessError."""
    done = subprocess.run([python, "-c", _LIST], capture_output=True, text=True, timeout=120, check=True)
    target.write_text(json.dumps(document(name, json.loads(done.stdout)), indent=1) + "\n")


def document(name: str, packages: list[list[str]]) -> dict[str, Any]:
    """`packages`: name, version, licence of each."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name}},
        "components": [_component(*package) for package in sorted(packages, key=lambda p: p[0].lower())],
    }


def _component(name: str, version: str, licence: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
    }
    if 0 < len(licence) <= LONGEST_LICENCE:
        component["licenses"] = [{"license": {"name": licence}}]
    return component
