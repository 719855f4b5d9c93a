"""worker/pod_cost.py against a stand-in for the worker and for Kubernetes' API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from worker.pod_cost import ANNOTATION, Pod, PodCost


class Cluster:
    def __init__(self) -> None:
        self.calls: Any = 0
        self.status = 200
        self.patches: list[tuple[str, str, dict[str, Any]]] = []

    async def fleet(self, _: web.Request) -> web.Response:
        return web.json_response({"active": self.calls})

    async def patch(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/merge-patch+json"
        self.patches.append((request.path, request.headers["Authorization"], await request.json()))
        return web.json_response({}, status=self.status)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def cost(cluster: Cluster, tmp_path: Path) -> AsyncIterator[PodCost]:
    (tmp_path / "namespace").write_text("voice\n")
    (tmp_path / "token").write_text("a-token\n")
    app = web.Application()
    app.add_routes([web.get("/fleet", cluster.fleet), web.patch("/api/{rest:.*}", cluster.patch)])
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("")).rstrip("/")
        yield PodCost(Pod("worker-a", tmp_path, url), f"{url}/fleet", session)


async def test_the_calls_become_the_pods_cost(cluster: Cluster, cost: PodCost) -> None:
    cluster.calls = 3
    await cost.look()
    assert cluster.patches == [
        (
            "/api/v1/namespaces/voice/pods/worker-a",
            "Bearer a-token",
            {"metadata": {"annotations": {ANNOTATION: "3"}}},
        )
    ]


async def test_what_did_not_change_is_not_written_again(cluster: Cluster, cost: PodCost) -> None:
    for calls in (2, 2, 2, 0, 0):
        cluster.calls = calls
        await cost.look()
    assert [body["metadata"]["annotations"][ANNOTATION] for *_, body in cluster.patches] == ["2", "0"]


async def test_a_refused_write_is_tried_again_and_said_without_the_token(
    cluster: Cluster, cost: PodCost, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.status = 403
    await cost.look()
    cluster.status = 200
    await cost.look()
    assert len(cluster.patches) == 2
    assert "not written" in caplog.text
    assert "a-token" not in caplog.text


async def test_a_worker_that_tells_nonsense_costs_nothing(cluster: Cluster, cost: PodCost) -> None:
    cluster.calls = None
    await cost.look()
    assert not cluster.patches
