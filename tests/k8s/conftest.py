"""One cluster for all rows: the chart is installed once, and each row begins with one idle worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from k8s_rig import Rig, running_rig

from worker.setup import charts, kubernetes, livekit_server
from worker.setup.places import VENV


@pytest.fixture(scope="session")
def rig(missing: Callable[[str], NoReturn]) -> Iterator[Rig]:
    absent = list(kubernetes.absent())
    absent += ["helm"] if charts.HELM.find() is None else []
    absent += ["livekit-server"] if livekit_server.find() is None else []
    absent += ["root, for network namespaces"] if os.geteuid() else []
    if absent:
        missing(", ".join(absent))
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with running_rig() as made:
        yield made


@pytest.fixture(scope="session")
def figures() -> Iterator[list[str]]:
    """Lines that are printed at the end."""
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))
