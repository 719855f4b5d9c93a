"""`python deploy/helm/write_readme.py`: makes the chart's README.md of values.yaml, whose comments are its text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "voice-agent"
_KEY = re.compile(r"( *)([A-Za-z][A-Za-z0-9]*):")
_HEAD = """# voice-agent

{description}

    kubectl create namespace voice-agent
    kubectl -n voice-agent create secret generic voice-agent --from-literal=LIVEKIT_API_KEY=… \\
      --from-literal=LIVEKIT_API_SECRET=… --from-literal=FLEET_KEY="$(openssl rand -hex 24)"
    helm upgrade --install voice-agent deploy/helm/voice-agent -n voice-agent \\
      -f deploy/helm/voice-agent/values-production.yaml \\
      --set image.registry=registry.example.com/voice --set livekit.url=wss://livekit.example.com
    helm test -n voice-agent voice-agent

Kubernetes {kube} or newer. [docs/kubernetes.md](../../../docs/kubernetes.md) says how it is meant;
`ci/` holds values for other kinds of installation.
This page is written by `python deploy/helm/write_readme.py` from `values.yaml`.

| value | default | meaning |
|---|---|---|
"""


def meanings(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each value that has a comment right above it, by its path, with the comment."""
    path: list[str] = []
    depths: list[int] = []
    said: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            said.append(line.strip().lstrip("# "))
            continue
        key = _KEY.match(line)
        if key:
            while depths and depths[-1] >= len(key[1]):
                depths.pop()
                path.pop()
            depths.append(len(key[1]))
            path.append(key[2])
            if said:
                yield tuple(path), " ".join(said)
        said = []


def readme() -> str:
    text = (CHART / "values.yaml").read_text()
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load(text)
    rows = [f"| `{'.'.join(path)}` | {_shown(values, path)} | {said} |" for path, said in meanings(text)]
    kube = re.sub(r"[^0-9.]|-0$", "", chart["kubeVersion"].removesuffix("-0")).removesuffix(".0")
    return _HEAD.format(description=chart["description"], kube=kube) + "\n".join(rows) + "\n"


def _shown(values: Any, path: tuple[str, ...]) -> str:
    for key in path:
        values = values[key]
    return "–" if values in ("", {}, []) else f"`{json.dumps(values).replace('|', chr(92) + '|')}`"


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme())
    sys.stdout.write(f"wrote {CHART / 'README.md'}\n")
