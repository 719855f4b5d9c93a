"""`python -m worker.pod_cost --name POD`: writes a worker's calls into its pod's deletion cost: idle ones go first.

Beside a worker in Kubernetes, with the right to patch pods. It helps and is not needed: without it a stopping worker
still keeps its calls. Knows nothing of the worker but its /fleet.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "https://kubernetes.default.svc"
ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
DEADLINE_S = 5.0

log = logging.getLogger(__name__)
_FAILED = (aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Pod:
    """`account`: the folder with token, ca.crt and namespace that Kubernetes mounts."""

    name: str
    account: Path = ACCOUNT
    api: str = API

    @property
    def url(self) -> str:
        namespace = (self.account / "namespace").read_text().strip()
        return f"{self.api}/api/v1/namespaces/{namespace}/pods/{self.name}"

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.account / "ca.crt"))


class PodCost:
    """Writes only what changed: the API server is everybody's."""

    def __init__(self, pod: Pod, fleet_url: str, session: aiohttp.ClientSession) -> None:
        self._pod, self._fleet_url, self._session = pod, fleet_url, session
        self._written: int | None = None

    async def look(self) -> None:
        """Never raises for what the worker or the API server does: the next look comes."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                cost = await self._calls()
                if cost != self._written:
                    await self._write(cost)
                    self._written = cost
        except _FAILED as error:
            log.warning("the pod's deletion cost is not written: %s", type(error).__name__)

    async def _calls(self) -> int:
        async with self._session.get(self._fleet_url) as answer:
            answer.raise_for_status()
            return int((await answer.json())["active"])

    async def _write(self, cost: int) -> None:
        headers = {
            # Kubernetes renews the token's file.
            "Authorization": f"Bearer {(self._pod.account / 'token').read_text().strip()}",
            "Content-Type": "application/merge-patch+json",
        }
        body = {"metadata": {"annotations": {ANNOTATION: str(cost)}}}
        ssl_ = self._pod.tls() if self._pod.api.startswith("https") else True
        async with self._session.patch(self._pod.url, json=body, headers=headers, ssl=ssl_) as answer:
            answer.raise_for_status()


async def run(pod: Pod, fleet_url: str, every_s: float) -> None:
    """For ever."""
    async with aiohttp.ClientSession() as session:
        cost = PodCost(pod, fleet_url, session)
        while True:
            await cost.look()
            await asyncio.sleep(every_s)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m worker.pod_cost")
    parser.add_argument("--name", required=True, help="this pod")
    parser.add_argument("--fleet", default="http://127.0.0.1:9090/fleet", help="the worker's /fleet")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two looks")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    asyncio.run(run(Pod(given.name), given.fleet, max(1.0, given.every)))


if __name__ == "__main__":
    main(sys.argv[1:])
