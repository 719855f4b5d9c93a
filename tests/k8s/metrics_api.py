"""external.metrics.k8s.io over a real Prometheus: the one metric of docs/kubernetes.md, with that page's query.

It also tells Prometheus which pods there are: Debian's build cannot ask an API server.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

GROUP = "external.metrics.k8s.io/v1beta1"
METRIC = "voice_calls_serving"


def serving_query(namespace: str) -> str:
    """Calls of workers that do not drain, as the rule in docs/kubernetes.md asks for them."""
    of = f'{{namespace="{namespace}"}}'
    return f"sum(voice_calls_active{of} and on(namespace,pod) voice_draining{of} == 0)"


def ask(prometheus: str, query: str) -> list[dict[str, Any]]:
    answer = httpx2.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=5.0, trust_env=False)
    return list(answer.raise_for_status().json()["data"]["result"])


@contextmanager
def metrics_api(
    prometheus: str, certificate: Path, key: Path, targets: Callable[[], list[dict[str, Any]]]
) -> Iterator[int]:
    """Serves on a free port of 127.0.0.1, and gives the port. `targets`: what /targets tells Prometheus."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            if parts == ["targets"]:
                self._answer(200, targets())
            elif parts == ["apis", *GROUP.split("/")]:
                resource = {"name": METRIC, "singularName": "", "namespaced": True, "verbs": ["get"]}
                told = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP}
                self._answer(200, told | {"resources": [resource | {"kind": "ExternalMetricValueList"}]})
            elif parts[3:4] == ["namespaces"] and parts[5:] == [METRIC]:
                self._values(parts[4])
            else:
                self._answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def _values(self, namespace: str) -> None:
            try:
                found = ask(prometheus, serving_query(namespace))
            except httpx2.HTTPError as error:  # an outage is not a fleet without calls
                message = f"Prometheus did not answer: {error}"
                self._answer(503, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message})
                return
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            items = [
                {"metricName": METRIC, "metricLabels": {}, "timestamp": now, "value": str(round(float(v["value"][1])))}
                for v in found
            ]
            self._answer(200, {"kind": "ExternalMetricValueList", "apiVersion": GROUP, "metadata": {}, "items": items})

        def _answer(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name="metrics-api", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
