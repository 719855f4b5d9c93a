"""How the control plane of `make test-k8s` is built: its module, and what is said where something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.setup import kubernetes
from worker.setup.problem import Problem

OWN = """module k8s.io/kubernetes
require k8s.io/utils v0.0.0-1
replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/client-go => ./staging/src/k8s.io/client-go
)
"""


def test_parts_come_from_their_own_modules_at_the_same_release() -> None:
    made = kubernetes.go_mod(OWN)
    assert f"require k8s.io/kubernetes v{kubernetes.VERSION}" in made
    part = kubernetes.VERSION.removeprefix("1")
    assert f"k8s.io/api => k8s.io/api v0{part}" in made
    assert f"k8s.io/client-go => k8s.io/client-go v0{part}" in made
    assert "k8s.io/utils" not in made, "it has no such release"


def test_a_go_mod_without_parts_is_told() -> None:
    with pytest.raises(Problem, match="names no part"):
        kubernetes.go_mod("module k8s.io/kubernetes\n")


def test_what_is_absent_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kubernetes, "_STAMP", tmp_path / "version")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kubernetes.absent() == (
        f"a control plane {kubernetes.VERSION} (`make test-k8s` builds it)",
        *kubernetes.DEBIAN,
    )
