"""The whole: a control plane, nodes, Prometheus, livekit-server, a language model that follows a script, the chart."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from control_plane import (
    Api,
    Papers,
    apiserver_command,
    controllers_command,
    etcd_command,
    scheduler_command,
    until,
)
from k8s_calls import Callers
from metrics_api import GROUP, ask, metrics_api, serving_query
from pod_network import PodNetwork
from process_kubelet import GPU, ProcessKubelet

from worker.bench.scripted_llm import ScriptedLlm, scripted_llm
from worker.bench.stack import free_ports
from worker.dev.livekit import LiveKitKey, config_body
from worker.setup import charts, kubernetes, livekit_server
from worker.setup.places import ROOT

NAMESPACE = "voice"
CHART = ROOT / "deploy" / "helm" / "voice-agent"
WORKERS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/voice-agent-worker"
HPA = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers/voice-agent-worker"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
MAX_CALLS, MAX_PODS = 2, 3
NODES = ("gpu-1", "gpu-2", "gpu-3", "gpu-4")  # one more than workers at most: a rollout surges
CALL_S = 600
SHORT = "The library opens at nine in the morning."
READY_S = 120.0


@dataclass(slots=True)
class Rig:
    folder: Path
    api: Api = field(repr=False)
    kubelet: ProcessKubelet = field(repr=False)
    kubeconfig: Path
    prometheus: str
    livekit_url: str
    llm: ScriptedLlm = field(repr=False)
    key: LiveKitKey
    servers: dict[str, subprocess.Popen[bytes]] = field(repr=False)

    def callers(self) -> Callers:
        return Callers(self.livekit_url, self.key)

    def values(self, **more: Any) -> dict[str, Any]:
        """Small pods: the engine beside the worker, no recogniser; few calls, an autoscaler that acts in seconds."""
        small = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}
        scale = {
            "mode": "hpa-external",
            "minReplicas": 1,
            "maxReplicas": MAX_PODS,
            "scaleUp": {"stabilizationSeconds": 0, "pods": 2, "periodSeconds": 5},
            "scaleDown": {"stabilizationSeconds": 4, "pods": 1, "periodSeconds": 4},
        }
        tolerated = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
        settings = {"LLM_PROVIDER": "local", "OPENAI_BASE_URL": self.llm.url}
        return {
            "livekit": {"url": self.livekit_url},
            "settings": settings | {"STT_PROVIDER": "openai", "STT_BASE_URL": self.llm.url},
            "calls": {"maxSeconds": CALL_S, "drainTimeout": CALL_S},
            "worker": {"maxCalls": MAX_CALLS, "tolerations": tolerated, "resources": small},
            "engine": {"backend": "embedded", "gpu": {"count": 1}, "resources": small},
            "models": {"enabled": False},
            "service": {"enabled": False},
            "autoscaling": scale,
            "monitoring": {"scrapeAnnotations": True},
            **more,
        }

    def helm(self, values: Mapping[str, Any]) -> str:
        """`helm upgrade --install`; AssertionError with its words where it refuses."""
        path = self.folder / "values.json"
        path.write_text(json.dumps(values))
        homes = {f"HELM_{n}_HOME": str(self.folder / "helm" / n.lower()) for n in ("CACHE", "CONFIG", "DATA")}
        command = [str(charts.HELM.find()), "upgrade", "--install", "voice-agent", str(CHART), "-n", NAMESPACE]
        command += ["-f", str(path), "--kubeconfig", str(self.kubeconfig)]
        done = subprocess.run(command, env=os.environ | homes, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pods(self) -> list[dict[str, Any]]:
        """The workers' pods that nobody asked to end."""
        return [p for p in self.api.get(PODS)["items"] if "deletionTimestamp" not in p["metadata"]]

    def ready(self) -> list[str]:
        """Names of those that are ready."""
        return [p["metadata"]["name"] for p in self.pods() if _is_ready(p)]

    @property
    def wanted(self) -> int:
        """Workers that the autoscaler wants."""
        return int(self.api.get(WORKERS)["spec"].get("replicas", 1))

    def active(self, address: str) -> int:
        """Calls of the worker at that address."""
        with urlopen(f"http://{address}:9090/metrics", timeout=3) as answer:
            lines = answer.read().decode().splitlines()
        return int(sum(float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith("voice_calls_active")))

    def serving(self) -> float | None:
        """The autoscaler's number, or None before there is one."""
        found = ask(self.prometheus, serving_query(NAMESPACE))
        return float(found[0]["value"][1]) if found else None

    def refused(self) -> float:
        found = ask(self.prometheus, "sum(voice_calls_refused_total)")
        return float(found[0]["value"][1]) if found else 0.0

    def story(self) -> str:
        """What to look at when something did not happen."""
        dead = [name for name, process in self.servers.items() if process.poll() is not None]
        with suppress(Exception):
            pods = {p["metadata"]["name"]: p["status"].get("phase") for p in self.api.get(PODS)["items"]}
            events = self.api.get(f"/api/v1/namespaces/{NAMESPACE}/events")["items"][-12:]
            told = "\n".join(f"{e['reason']}: {e['message'][:200]}" for e in events)
            return f"dead {dead}; pods {pods}; kubelet {self.kubelet.errors}; stopped {self.kubelet.stopped}\n{told}"
        return f"(the API server does not answer; dead: {dead})"


@contextmanager
def running_rig() -> Iterator[Rig]:
    """Up, with the namespace and its Secret, and no chart yet. Gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="k8s-"))  # short: sockets lie below it
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        network = PodNetwork.fresh()
        stack.callback(network.close)
        ports = [int(p) for p in (*free_ports().values(), *free_ports().values())]
        papers = Papers(folder / "papers")
        papers.write()
        url = f"https://127.0.0.1:{ports[2]}"
        kubeconfig = papers.write_kubeconfig(url)
        binaries = kubernetes.find()
        assert binaries is not None
        run = _Runner(folder, stack)
        run("etcd", etcd_command(folder / "etcd", ports[0], ports[1]))
        run("apiserver", apiserver_command(binaries, papers, port=ports[2], etcd=ports[0], address=network.gateway))
        api = Api(url, papers.token, Path(papers["ca.crt"]))
        stack.callback(api.close)
        until(api.is_ready, "the API server was ready", 60)
        run("controllers", controllers_command(binaries, papers, kubeconfig))
        run("scheduler", scheduler_command(binaries, kubeconfig))
        prometheus = f"http://127.0.0.1:{ports[3]}"
        server = (Path(papers["server.crt"]), Path(papers["server.key"]))
        api_port = stack.enter_context(metrics_api(prometheus, *server, lambda: _targets(api)))
        run("prometheus", _prometheus(folder, papers, ports[3], api_port))
        _register_metrics(api, api_port)
        key = LiveKitKey.fresh()
        run("livekit", (str(livekit_server.find()),), _livekit(network, key, ports[4], ports[5]))
        llm = stack.enter_context(scripted_llm(network.gateway))
        llm.answer(SHORT)
        kubelet = ProcessKubelet(api, network, folder / "pods", lambda address: rig.active(address))
        rig = Rig(
            folder,
            api,
            kubelet,
            kubeconfig,
            prometheus,
            f"ws://{network.gateway}:{ports[4]}",
            llm,
            key,
            run.servers,
        )
        _namespace(rig)
        stack.callback(kubelet.close)
        kubelet.start(NODES)
        yield rig


class _Runner:
    """Starts servers and ends them in reverse order."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.servers: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(self, name: str, command: tuple[str, ...], env: Mapping[str, str] | None = None) -> None:
        log = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, env=os.environ | (env or {}), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self._folder
        )
        self.servers[name] = process
        self._stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def _prometheus(folder: Path, papers: Papers, port: int, targets_port: int) -> tuple[str, ...]:
    at = {"url": f"https://127.0.0.1:{targets_port}/targets", "refresh_interval": "1s"}
    job = {"job_name": "pods", "http_sd_configs": [at | {"tls_config": {"ca_file": papers["ca.crt"]}}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    data = f"--storage.tsdb.path={folder / 'tsdb'}"
    return ("prometheus", f"--config.file={path}", data, f"--web.listen-address=127.0.0.1:{port}")


def _targets(api: Api) -> list[dict[str, Any]]:
    """Every pod that asks to be scraped, as a pod monitor finds it, those that end too."""
    found = []
    for pod in api.get("/api/v1/pods")["items"]:
        meta, address = pod["metadata"], pod["status"].get("podIP")
        marks = meta.get("annotations", {})
        if address and marks.get("prometheus.io/scrape") == "true":
            at = f"{address}:{marks['prometheus.io/port']}"
            found.append({"targets": [at], "labels": {"namespace": meta["namespace"], "pod": meta["name"]}})
    return found


def _livekit(network: PodNetwork, key: LiveKitKey, port: int, udp_port: int) -> dict[str, str]:
    config = json.loads(config_body(port=port, udp_port=udp_port))
    config["bind_addresses"] = [network.gateway]
    config["rtc"] |= {"node_ip": network.gateway, "interfaces": {"includes": [network.bridge]}}
    return {"LIVEKIT_CONFIG": json.dumps(config), "LIVEKIT_KEYS": f"{key.name}: {key.secret}"}


def _register_metrics(api: Api, port: int) -> None:
    """The aggregation layer dials localhost: there is no network of Services here."""
    namespace = "/api/v1/namespaces/kube-system"
    until(lambda: _is_there(api, namespace), "kube-system was there", 30)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics"}}
    named = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    api.create(f"{namespace}/services", service | {"spec": named})
    group, version = GROUP.split("/")
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "metrics", "namespace": "kube-system", "port": port},
    }
    kind = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{version}.{group}"}}
    api.create("/apis/apiregistration.k8s.io/v1/apiservices", kind | {"spec": spec})


def _is_there(api: Api, path: str) -> bool:
    with suppress(Exception):
        return bool(api.get(path))
    return False


def _namespace(rig: Rig) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    rig.api.create("/api/v1/namespaces", space)
    told = {
        "LIVEKIT_API_KEY": rig.key.name,
        "LIVEKIT_API_SECRET": rig.key.secret,
        "FLEET_KEY": rig.key.secret,
        "OPENAI_API_KEY": "unused",
    }
    data = {name: base64.b64encode(value.encode()).decode() for name, value in told.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "voice-agent"}, "data": data}
    rig.api.create(f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
