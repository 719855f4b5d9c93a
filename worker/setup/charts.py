"""What checks the chart and the compose files: helm, helm-unittest, compose-go. Only the tests need them."""

from __future__ import annotations

from worker.setup.go_program import GoProgram

HELM = GoProgram(
    name="helm",
    package="helm.sh/helm/v4/cmd/helm",
    module="helm.sh/helm/v4",
    version="4.3.1",
    oldest=(4, 0),
    asks=("version", "--short"),
)
UNITTEST = GoProgram(
    name="helm-unittest",
    package="github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    module="github.com/helm-unittest/helm-unittest",
    version="1.0.0",
)
COMPOSE = GoProgram(  # reads compose files as docker compose does, without Docker
    name="compose-go",
    package="github.com/compose-spec/compose-go/v2/cmd",
    module="github.com/compose-spec/compose-go/v2",
    version="2.10.0",
)
PROGRAMS = (HELM, UNITTEST, COMPOSE)
